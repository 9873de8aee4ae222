"""What is new, changed, unchanged or gone: a folder compared with a collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from h2q._typing import CodeArray
from h2q.collections.base import Collection
from h2q.errors import InvalidInputError
from h2q.images import FoundPhoto
from h2q.ingest.batches import in_batches
from h2q.ingest.photo_files import (
    PhotoFile,
    content_hash,
    photo_id,
    photo_path,
    readable,
    seen_in,
)

_CHUNK = 1000  # ids looked up at a time


@dataclass
class Plan:
    """What is to be done.

    Attributes
    ----------
    new, changed : list of PhotoFile
        To be read and encoded.
    touched : list of (PhotoFile, dict)
        The content is the stored one; only the payload (new times, another folder) is renewed.
    gone : list of str
        Ids of the folder's items, under the prefix, whose files are no more.
    unchanged : int
        Files whose size and time are the stored ones.
    unreadable : list of (str, str)
        Path and reason of files that could not even be looked at.
    """

    new: list[PhotoFile] = field(default_factory=list)
    changed: list[PhotoFile] = field(default_factory=list)
    touched: list[tuple[PhotoFile, dict[str, Any]]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    unchanged: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """A stored item, to be known again by its content.

    Attributes
    ----------
    id : str or int
    code : ndarray of shape (ceil(k / 8),)
    seen : dict
        What its payload knows from reading the picture.
    """

    id: Any
    code: CodeArray
    seen: dict[str, Any]


def make_plan(collection: Collection, root: Path, prefix: str, found: Sequence[FoundPhoto]) -> Plan:
    """Compare the photos of a folder with what a collection holds.

    Size and time of change decide; where they differ, the content does (SHA-256). What the
    collection holds of the folder is read once.

    Parameters
    ----------
    collection : Collection
    root : Path
        The folder, absolute.
    prefix : str
        Of the ids.
    found : sequence of FoundPhoto
        What `h2q.images.find_photos` found in it.

    Raises
    ------
    InvalidInputError
        If an id already stands for another photo, of another folder, that still exists.
    """
    plan, folder = Plan(), readable(str(root))
    held: dict[Any, Mapping[str, Any]] = {}
    # Most collections are of one folder: reading all is faster than asking SQL which belong to it.
    # A server's items are many and far away.
    condition = {"folder": folder} if "://" in collection.uri else None
    for batch in collection.iterate(where=condition):
        for item_id, payload in zip(batch.ids, batch.payloads, strict=True):
            if payload is not None and payload.get("folder") == folder:
                held[item_id] = payload
    others: list[PhotoFile] = []
    for each in found:
        name = readable(each.name)
        item_id = photo_id(prefix, name)
        stored = held.get(item_id)
        if stored is not None:
            del held[item_id]
            if stored.get("size") == each.size and stored.get("mtime_ns") == each.mtime_ns:
                plan.unchanged += 1
                continue
        if each.error is not None:
            plan.unreadable.append((readable(str(root / each.name)), each.error))
            continue
        file = PhotoFile(item_id, root, each.name, each.size, each.mtime_ns)
        if stored is None:
            others.append(file)
        else:
            _place(plan, file, stored)
    for part in in_batches(others, _CHUNK):
        for file, item in zip(part, collection.get([file.id for file in part]), strict=True):
            if item is None:
                plan.new.append(file)
            else:
                _place(plan, file, item.payload or {})
    plan.gone = [
        str(item_id)
        for item_id, stored in held.items()
        # Another prefix is not ours.
        if item_id == photo_id(prefix, str(stored.get("path"))) and is_gone(photo_path(stored))
    ]
    return plan


def known_by_content(collection: Collection, files: Sequence[PhotoFile]) -> dict[str, Known]:
    """Items of the collection by their SHA-256, those alone that may be one of the files."""
    sizes = {file.size for file in files}
    known: dict[str, Known] = {}
    if not sizes or not len(collection):
        return known
    for batch in collection.iterate():
        for item_id, code, stored in zip(batch.ids, batch.codes, batch.payloads, strict=True):
            if stored and stored.get("size") in sizes and "sha256" in stored:
                seen = seen_in(stored)
                known.setdefault(str(stored["sha256"]), Known(item_id, np.array(code), seen))
    return known


def is_gone(path: Path | None) -> bool:
    """Whether a file is no more; one that merely cannot be looked at (a locked folder) is not."""
    if path is None:
        return False
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _place(plan: Plan, file: PhotoFile, stored: Mapping[str, Any]) -> None:
    try:
        digest = content_hash(file.path) if stored.get("size") == file.size else None
    except OSError as error:
        plan.unreadable.append((readable(str(file.path)), error.strerror or str(error)))
        return
    if digest is not None and digest == stored.get("sha256"):
        payload = file.payload(file.size, file.mtime_ns, digest, seen_in(stored))
        plan.touched.append((file, payload))
        return
    other = photo_path(stored)
    if other is not None and other != file.path and other.exists():
        raise InvalidInputError(
            f"the id {file.id!r} already stands for {other}; to index {file.folder} into the same "
            "collection, give it a prefix of its own (--prefix)"
        )
    plan.changed.append(file)
