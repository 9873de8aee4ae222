"""A copy of a collection file, made while it is in use."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from h2q.collections.embedded import schema
from h2q.collections.embedded.connection import connect, reading
from h2q.collections.embedded.faults import reported
from h2q.errors import CollectionError

#: Pages copied between two reports of progress: 16 MB.
_PAGES: Final = 4096

#: Told the pages copied and all there are.
OnProgress = Callable[[int, int], None]


def backup(
    path: Path, target: Path, *, overwrite: bool = False, on_progress: OnProgress | None = None
) -> None:
    """Copy the collection in the file `path`, as it is now, to `target`: whole or not at all.

    SQLite's online backup of one snapshot: writers are not held up, and what they write meanwhile
    is not in the copy. An interrupt, an error or an exception of `on_progress` leaves `target` as
    it was.

    Raises
    ------
    CollectionError
        If `target` exists and `overwrite` is false, or it cannot be written.
    """
    if target.exists() and (not overwrite or target.is_dir() or target.samefile(path)):
        raise CollectionError(
            f"{target} exists; give another path"
            + ("" if overwrite else ", or overwrite=True (--overwrite) to replace it")
        )
    with reported(path):
        source = connect(path, "r")
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with reported(target):
            with reading(source):
                # Reading begins the snapshot; without it every write would begin the copy anew.
                source.execute("SELECT last_row FROM state").fetchone()
                _copy(source, temporary, on_progress)
            schema.check_file(temporary)
            _put_in_place(temporary, target, overwrite)
    finally:
        source.close()
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{temporary}{suffix}").unlink(missing_ok=True)


def _copy(source: sqlite3.Connection, temporary: Path, on_progress: OnProgress | None) -> None:
    def report(_: int, remaining: int, total: int) -> None:
        if on_progress is not None:
            on_progress(total - remaining, total)

    copy = sqlite3.connect(temporary, isolation_level=None)
    try:
        source.backup(copy, pages=_PAGES, progress=report)
    finally:
        copy.close()


def _put_in_place(temporary: Path, target: Path, overwrite: bool) -> None:
    _synchronise(temporary)
    if overwrite:
        temporary.replace(target)
    else:
        try:
            os.link(temporary, target)  # unlike a rename it never takes the place of another file
        except FileExistsError as error:
            raise CollectionError(f"{target} has come into being; give another path") from error
    _synchronise(target.parent)


def _synchronise(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
