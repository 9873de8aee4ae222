"""A copy of a collection file, made while it is in use."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from h2q._files import locked_folder, place_new, scratch_folder, synchronise
from h2q._progress import OnProgress
from h2q.collections.embedded import beside, lineage
from h2q.collections.embedded.connection import connect, fold_log, reading, writing
from h2q.collections.embedded.faults import reported
from h2q.collections.embedded.held_file import check_free
from h2q.errors import CollectionError

#: Pages copied between two reports of progress: 16 MB.
_PAGES: Final = 4096


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
    target = Path(os.path.realpath(target))  # what a link leads to is replaced, not the link
    with reported(target):
        beside.check_name(target)
        if target.exists() and target.samefile(path):
            raise CollectionError(
                f"{target} is the collection itself, which is no copy of it; give another path"
            )
        if os.path.lexists(target) and (not overwrite or target.is_dir()):
            raise CollectionError(
                f"{target} exists; give another path"
                + ("" if overwrite else ", or overwrite=True (--overwrite) to replace it")
            )
        if overwrite:  # also before the work of copying
            with locked_folder(target.parent, alone=True):
                _check_target(target)
    with reported(path):
        source = connect(path, "r")
    try:
        with reported(target), scratch_folder(target) as folder:
            temporary = folder / target.name
            with reading(source):
                # Reading begins the snapshot; without it every write would begin the copy anew.
                source.execute("SELECT last_row FROM state").fetchone()
                _copy(source, temporary, on_progress)
            _make_its_own(temporary)
            _put_in_place(temporary, target, overwrite)
    finally:
        source.close()


def _check_target(target: Path) -> None:
    if target.exists():
        check_free(target)


def _copy(source: sqlite3.Connection, temporary: Path, on_progress: OnProgress | None) -> None:
    def report(_: int, remaining: int, total: int) -> None:
        if on_progress is not None:
            on_progress(total - remaining, total)

    copy = sqlite3.connect(temporary, isolation_level=None)
    try:
        source.backup(copy, pages=_PAGES, progress=report)
    finally:
        copy.close()


def _make_its_own(copy: Path) -> None:
    """Part the copy from the collection: no log and no cache of that belongs to it."""
    connection = connect(copy, "a")
    try:
        with writing(connection):
            lineage.leave(connection)
        fold_log(connection)
    finally:
        connection.close()
    synchronise(copy)


def _put_in_place(temporary: Path, target: Path, overwrite: bool) -> None:
    with locked_folder(target.parent, alone=True):
        check_free(target)
        if overwrite:
            temporary.replace(target)
            beside.remove(target)
            synchronise(target.parent)
        else:
            try:
                place_new(temporary, target)
            except FileExistsError as error:
                raise CollectionError(f"{target} has come into being; give another path") from error
