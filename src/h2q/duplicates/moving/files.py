"""A file moved so that it is never lost, whenever the process is killed, and nothing overwritten.

Within a file system the move is one rename. To another one the file is copied, the copy is flushed
and compared, and only then the original's name is taken away: at every moment one of the two names
holds the whole file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from pathlib import Path
from typing import Final

from h2q.ingest.photo_files import content_hash

#: Ends the name of a copy that is being written.
PARTIAL: Final = ".h2q-partial"


class ChangedError(Exception):
    """The file is not what it was, or is not there; it was left alone."""


def free_name(path: Path) -> Path:
    """Return `path`, or where it is taken the first of `name (2).jpg`, `name (3).jpg`, ..."""
    for number in range(1, 1_000_000):
        name = path if number == 1 else path.with_name(f"{path.stem} ({number}){path.suffix}")
        if not _there(name) and not _there(partial_of(name)):
            return name
    raise FileExistsError(errno.EEXIST, "a million files have that name", str(path))


def partial_of(path: Path) -> Path:
    """Name of the copy that is being written for `path`."""
    return path.with_name(path.name + PARTIAL)


def move_file(source: Path, target: Path, sha256: str) -> None:
    """Move a file whose content is known to a name that is free.

    Raises
    ------
    ChangedError
        If the source does not hold what it should.
    OSError
        If it cannot be moved; then it is where it was.
    """
    check_content(source, sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    # The name is taken first, so that nothing is overwritten: rename would do that in silence.
    with target.open("xb"):
        pass
    try:
        source.replace(target)
    except OSError as error:
        target.unlink()
        if error.errno != errno.EXDEV:
            raise
        _copy_over(source, target, sha256)
        return
    _flush(target.parent)
    _flush(source.parent)


def check_content(path: Path, sha256: str) -> None:
    """Raise `ChangedError` unless the path is a regular file (no link) with that content."""
    try:
        if path.is_symlink():
            raise ChangedError("is a link")
        found = content_hash(path) if path.is_file() else None
    except OSError as error:
        raise ChangedError(error.strerror or str(error)) from error
    if found is None:
        raise ChangedError("is not there" if not path.exists() else "is no file")
    if found != sha256:
        raise ChangedError("its content has changed since")


def _copy_over(source: Path, target: Path, sha256: str) -> None:
    partial = partial_of(target)
    before = source.stat()
    try:
        with source.open("rb") as read, partial.open("xb") as written:
            shutil.copyfileobj(read, written, 1 << 20)
            written.flush()
            os.fsync(written.fileno())
        with contextlib.suppress(OSError):  # times and rights, as far as the other one keeps them
            shutil.copystat(source, partial)
        if content_hash(partial) != sha256:
            raise ChangedError("its content changed while it was copied")
        with target.open("xb"):
            pass
        partial.replace(target)
        _flush(target.parent)
        after = source.stat()
        if (before.st_size, before.st_mtime_ns, before.st_ino) != (
            after.st_size, after.st_mtime_ns, after.st_ino,
        ):  # fmt: skip
            target.unlink()
            raise ChangedError("it changed while it was copied")
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    source.unlink()
    _flush(source.parent)


def _there(path: Path) -> bool:
    return os.path.lexists(path)


def _flush(folder: Path) -> None:
    """Make names in a folder durable, where the file system knows that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
