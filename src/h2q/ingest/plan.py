"""What is new, changed, unchanged or gone: a folder compared with a collection."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from h2q._collector import collector_paused
from h2q._typing import CodeArray
from h2q.collections.base import Collection, Id, compact_json
from h2q.errors import InvalidInputError
from h2q.images import FoundPhoto, folder_order
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
    with collector_paused():
        held, rest = _compare(plan, collection, folder, prefix, found)
    others: list[PhotoFile] = []
    for each in sorted(rest, key=folder_order):
        item_id = photo_id(prefix, readable(each.name))
        held.pop(item_id, None)
        if each.error is not None:
            plan.unreadable.append((readable(str(root / each.name)), each.error))
            continue
        others.append(PhotoFile(item_id, root, each.name, each.size, each.mtime_ns))
    for part in in_batches(others, _CHUNK):
        for file, item in zip(part, collection.get([file.id for file in part]), strict=True):
            if item is None:
                plan.new.append(file)
            else:
                _place(plan, file, item.payload or {})
    for ids in in_batches(held, _CHUNK):
        for item in collection.get(ids):
            stored = None if item is None else item.payload
            # Another prefix is not ours.
            if item and stored and item.id == photo_id(prefix, str(stored.get("path"))):
                plan.gone += [str(item.id)] * is_gone(photo_path(stored))
    return plan


def _compare(
    plan: Plan, collection: Collection, folder: str, prefix: str, found: Sequence[FoundPhoto]
) -> tuple[dict[Id, None], list[FoundPhoto]]:
    """Count what is unchanged; return the folder's other items by id, and the other photos."""
    # Most collections are of one folder: reading all is faster than asking SQL which belong to it.
    # A server's items are many and far away.
    condition = {"folder": folder} if "://" in collection.uri else None
    stored: dict[Id, str | None] = {}
    for batch in collection.iterate_texts(("folder", "size", "mtime_ns"), condition):
        stored.update(batch)
    quoted, rest = compact_json(folder), []
    for each in found:
        name, size, mtime_ns, _ = each
        if not name.isascii():
            name = readable(name)
        item_id = f"{prefix}/{name}" if prefix else name
        if stored.get(item_id) == f"[{quoted},{size},{mtime_ns}]":
            del stored[item_id]
            plan.unchanged += 1
        else:
            rest.append(each)
    ours = {
        item_id: None
        for item_id, text in stored.items()
        if text is not None and (text.startswith(f"[{quoted},") or json.loads(text)[0] == folder)
    }
    return ours, rest


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
