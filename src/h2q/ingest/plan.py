"""What is new, changed, unchanged or gone: a folder compared with a collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from h2q.collections.base import Collection
from h2q.errors import InvalidInputError
from h2q.ingest.photo_files import (
    PhotoFile,
    content_hash,
    photo_id,
    photo_path,
    relative_path,
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
    moved : list of (PhotoFile, dict)
        The content is the stored one; only the payload (new times, another folder) is renewed.
    unchanged : int
        Files whose size and time are the stored ones.
    unreadable : list of (str, str)
        Path and reason of files that could not even be looked at.
    """

    new: list[PhotoFile] = field(default_factory=list)
    changed: list[PhotoFile] = field(default_factory=list)
    moved: list[tuple[PhotoFile, dict[str, Any]]] = field(default_factory=list)
    unchanged: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)


def make_plan(collection: Collection, files: Sequence[PhotoFile]) -> Plan:
    """Compare the files of a folder with what a collection holds.

    Size and time of change decide; where they differ, the content does (SHA-256).

    Raises
    ------
    InvalidInputError
        If an id already stands for another photo, of another folder, that still exists.
    """
    plan = Plan()
    remaining = iter(files)
    while chunk := list(islice(remaining, _CHUNK)):
        items = collection.get([file.id for file in chunk])
        for file, item in zip(chunk, items, strict=True):
            try:
                _place(plan, file, None if item is None else item.payload or {})
            except OSError as error:
                plan.unreadable.append((str(file.path), error.strerror or str(error)))
    return plan


def vanished(collection: Collection, folder: Path, prefix: str) -> Iterator[str]:
    """Ids of the items that came from `folder` under `prefix` and whose files are gone.

    A file that merely cannot be looked at (a locked folder, say) does not count as gone.
    """
    for batch in collection.iterate(where={"folder": str(folder)}):
        for item_id, stored in zip(batch.ids, batch.payloads, strict=True):
            path = photo_path(stored)
            if path is None or item_id != photo_id(prefix, relative_path(path, folder)):
                continue  # another prefix, or not ours
            if _is_gone(path):
                yield str(item_id)


def _is_gone(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _place(plan: Plan, file: PhotoFile, stored: Mapping[str, Any] | None) -> None:
    if stored is None:
        plan.new.append(file)
        return
    status = file.path.stat()
    same_place = photo_path(stored) == file.path
    same_look = (stored.get("size"), stored.get("mtime_ns")) == (status.st_size, status.st_mtime_ns)
    if same_place and same_look:
        plan.unchanged += 1
        return
    digest = content_hash(file.path) if stored.get("size") == status.st_size else None
    if digest is not None and digest == stored.get("sha256"):
        seen = seen_in(stored)
        payload = file.payload(status.st_size, status.st_mtime_ns, digest, seen)
        plan.moved.append((file, payload))
        return
    other = photo_path(stored)
    if not same_place and other is not None and other.exists():
        raise InvalidInputError(
            f"the id {file.id!r} already stands for {other}; to index {file.folder} into the same "
            "collection, give it a prefix of its own (--prefix)"
        )
    plan.changed.append(file)
