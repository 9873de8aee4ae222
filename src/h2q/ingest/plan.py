"""What is new, changed, unchanged or gone: a folder compared with a collection."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np

from h2q._addresses import without_secrets
from h2q._collector import collector_paused
from h2q._typing import CodeArray
from h2q.collections.base import Collection, Id, compact_json, payload_of
from h2q.errors import InvalidInputError
from h2q.images import FoundPhoto
from h2q.ingest.batches import in_batches
from h2q.ingest.listing import PhotoListing
from h2q.ingest.photo_files import (
    PhotoFile,
    content_hash,
    folder_text,
    photo_id,
    photo_path,
    readable,
    seen_in,
    version_key,
)
from h2q.ingest.report import Skipped
from h2q.rowfiles.storage import is_url

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
    unreadable : list of Skipped
        Files that could not even be looked at.
    """

    new: list[PhotoFile] = field(default_factory=list)
    changed: list[PhotoFile] = field(default_factory=list)
    touched: list[tuple[PhotoFile, dict[str, Any]]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    unchanged: int = 0
    unreadable: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """A stored item, to be known again by its content.

    Attributes
    ----------
    code : ndarray of shape (ceil(k / 8),)
    seen : dict
        What its payload knows from reading the picture.
    size : int
        Bytes of the file.
    """

    code: CodeArray
    seen: dict[str, Any]
    size: int

    def serves(self, gps: bool) -> bool:
        """Whether it says all that a payload is to say."""
        return not gps or "gps" in self.seen


def make_plan(collection: Collection, listing: PhotoListing, prefix: str = "") -> Plan:
    """Compare photos with what a collection holds of their folder.

    Size and time of change (of a store: its version) decide. Where they differ, the content of a
    local photo does (SHA-256); a store's is not asked. What the collection holds of the folder is
    read once.

    Parameters
    ----------
    collection : Collection
    listing : PhotoListing
    prefix : str
        Of the ids.

    Raises
    ------
    InvalidInputError
        If an id already stands for another photo, of another folder, that still exists.
    """
    plan = Plan()
    with collector_paused():
        held, rest = _compare(plan, collection, listing, prefix)
    others: list[PhotoFile] = []
    for each in rest:
        file = listing.file(each, prefix)
        held.pop(file.id, None)
        if each.error is not None:
            plan.unreadable.append(Skipped(file.shown, each.error))
        else:
            others.append(file)
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
                gone = not listing.is_local or is_gone(photo_path(stored))
                plan.gone += [str(item.id)] * gone
    return plan


def _compare(
    plan: Plan, collection: Collection, listing: PhotoListing, prefix: str
) -> tuple[dict[Id, None], list[FoundPhoto]]:
    """Count what is unchanged; return the folder's other items by id, and the other photos."""
    folder, key = folder_text(listing.folder), version_key(listing.folder)
    photos, before = listing.photos, f"{prefix}/" if prefix else ""
    names = [name for name, _, _, _ in photos]
    if not all(map(str.isascii, names)):
        names = [readable(name) for name in names]
    total = len(names)
    # Most collections are of one folder: reading all is faster than asking SQL which belong to it.
    # A server's items are many and far away.
    condition = {"folder": folder} if "://" in collection.uri else None
    quoted, ours = compact_json(folder), dict[Id, None]()
    here, is_local, skip = f'","folder":{quoted},"size":', listing.is_local, len(before)
    differs = bytearray(b"\1" * total)
    places: dict[str, int] | None = None
    at = 0  # items come, but for a few, in the order of the photos: looking them up takes longer
    for ids, texts in collection.iterate_texts(condition):
        for item_id, text in zip(ids, texts, strict=True):
            if text is None or isinstance(item_id, int):
                continue
            name = item_id[skip:] if skip else item_id
            if at == total or names[at] != name or (skip and not item_id.startswith(before)):
                if places is None:
                    places = {before + each: place for place, each in enumerate(names)}
                at = places.get(item_id, total)
            if at < total:
                _, size, version, _ = photos[at]
                if is_local:
                    # As `PhotoFile.payload` is stored; parsing it takes several times as long.
                    begins = f'{{"path":"{name}{here}{size},"{key}":{version},'
                    if text.startswith(begins) and '"' not in name and "\\" not in name:
                        differs[at] = 0
                        at += 1
                        continue
            if quoted in text:
                stored = payload_of(text) or {}
                if stored.get("folder") != folder:
                    continue
                if at < total and (stored.get("size"), stored.get(key)) == photos[at][1:3]:
                    differs[at] = 0
                else:
                    ours[item_id] = None
            at += at < total
    rest = list(compress(photos, differs))
    plan.unchanged = len(photos) - len(rest)
    return ours, rest


def known_by_content(
    collection: Collection, files: Sequence[PhotoFile], gone: Container[Id]
) -> tuple[dict[str, Known], dict[str, list[Id]]]:
    """Find the items that may be one of the files.

    Parameters
    ----------
    collection : Collection
    files : sequence of PhotoFile
    gone : container of ids
        Items whose files are no more.

    Returns
    -------
    known : dict of str to Known
        An item of each content, by its SHA-256.
    left : dict of str to list of ids
        All those that are gone, by the SHA-256: each may have been moved.
    """
    sizes = {file.size for file in files}
    known: dict[str, Known] = {}
    left: dict[str, list[Id]] = {}
    if not sizes or not len(collection):
        return known, left
    for batch in collection.iterate():
        for item_id, code, stored in zip(batch.ids, batch.codes, batch.payloads, strict=True):
            if stored and stored.get("size") in sizes and "sha256" in stored:
                digest = str(stored["sha256"])
                known.setdefault(digest, Known(np.array(code), seen_in(stored), stored["size"]))
                if item_id in gone:
                    left.setdefault(digest, []).append(item_id)
    return known, left


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
    _check_free(file, stored)
    if file.is_local:
        try:
            digest = content_hash(file.path) if stored.get("size") == file.size else None
        except OSError as error:
            plan.unreadable.append(Skipped(file.shown, error.strerror or str(error)))
            return
        if digest is not None and digest == stored.get("sha256"):
            plan.touched.append((file, file.payload(digest, seen_in(stored))))
            return
    plan.changed.append(file)


def _check_free(file: PhotoFile, stored: Mapping[str, Any]) -> None:
    """Raise where an id stands for a photo elsewhere that still exists."""
    other = stored.get("folder")
    if other is None or without_secrets(str(other)) == folder_text(file.folder):
        return
    path = photo_path(stored)
    # A local folder may have been moved, or have two names; of a store that is not asked.
    if not is_url(str(other)) and (path is None or not path.exists() or _same(path, file)):
        return
    raise InvalidInputError(
        f"the id {file.id!r} already stands for a photo of {without_secrets(str(other))}; to index "
        f"{folder_text(file.folder)} into the same collection, give it a prefix of its own "
        "(--prefix)"
    )


def _same(path: Path, file: PhotoFile) -> bool:
    try:
        return file.is_local and path.samefile(file.path)
    except OSError:
        return False
