"""Files that are written whole or not at all, and what a killed process leaves of them."""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final

from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import InvalidInputError

if sys.platform != "win32":
    import fcntl

#: How long one waits for another process that puts a file in its place: that takes milliseconds.
_PATIENCE_S: Final = 60.0
_PAUSE_S: Final = 0.002
#: Scratch folders of one file that are looked for; so many are not in use at once.
_SCRATCHES: Final = 4
#: How the file of a collection begins.
_SQLITE: Final = b"SQLite format 3\0"
#: Endings of photos. Known by heart: this room knows no libraries.
_PHOTOS: Final = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".heic"),
    *(".heif", ".avif", ".tif", ".tiff", ".gif", ".bmp"),
)
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


@contextmanager
def written_whole(path: StrPath) -> Iterator[BinaryIO]:
    """Open a new file for writing that takes the place of `path` only when all went well.

    It lies in a hidden folder beside `path`, is flushed to the disk, and is then renamed; if the
    block raises, `path` is as it was. What a killed process leaves is removed by the next.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
    >>> with written_whole(target) as file:
    ...     _ = file.write(b"whole")
    >>> target.read_bytes()
    b'whole'
    """
    with written_together(path) as (file,):
        yield file


@contextmanager
def written_together(*paths: StrPath) -> Iterator[tuple[BinaryIO, ...]]:
    """Open several new files, as `written_whole` one.

    All are on the disk before one is renamed, the first as the last: it comes when those beside it
    are there. An error leaves every old one. A kill in the very midst of the renames can leave new
    files beside old ones: they must be told from each other by what is in them.

    Raises
    ------
    InvalidInputError
        If a path is the file of a collection, which nothing but a copy of one takes the place of.
    """
    targets = [as_path(path) for path in paths]
    for target in targets:
        _check_no_collection(target)
    try:
        with ExitStack() as stack:
            made = [stack.enter_context(scratch_folder(t)) / t.name for t in targets]
            with ExitStack() as opened:
                files = [opened.enter_context(temporary.open("xb")) for temporary in made]
                yield tuple(files)
                for file, temporary in zip(files, made, strict=True):
                    file.flush()
                    synchronise(temporary)
            for temporary, target in zip(reversed(made), reversed(targets), strict=True):
                temporary.replace(target)
            for folder in {target.parent for target in targets}:
                synchronise(folder)
    except OSError as error:
        hidden = Path(str(error.filename)).name if error.filename is not None else ""
        ours = any(hidden.startswith(f".{target.name}.") for target in targets)
        if error.errno is not None and (ours or error.filename is None):  # by the name they know
            error.filename = str(targets[0])
        raise


def write_whole(path: StrPath, data: bytes) -> None:
    """Write a file whole or not at all (`written_whole`)."""
    with written_whole(path) as file:
        file.write(data)


def check_place(path: StrPath, *inputs: StrPath | None, picture: bool = False) -> None:
    """See, before the work whose result is to go to a file, that one can be written there.

    Parameters
    ----------
    path : path
    *inputs : path, address or None
        What the same work reads, or writes too: no result takes its place.
    picture : bool
        Whether the result is one to look at, which may replace an earlier one.

    Raises
    ------
    InvalidInputError
        If there is no such folder, it may not be written, a folder has that name, or the file of
        that name is one of the inputs, a collection or a photo.
    """
    check_apart(path, *inputs)
    target = as_path(path)
    if target.is_dir():
        raise InvalidInputError(f"{path} is a folder; give the name of a file in it")
    _check_no_collection(target)
    if not picture and target.suffix.lower() in _PHOTOS and target.exists():
        raise InvalidInputError(
            f"{path} is a photo, and what is written here is none; give the result another name"
        )
    try:
        with scratch_folder(target):
            pass
    except OSError as error:
        folder = target.absolute().parent
        remedy = (
            "give a place where you may write, or allow writing to the folder"
            if folder.is_dir()
            else f"there is no folder {folder}; make it first"
        )
        raise InvalidInputError(
            f"{path} cannot be written ({error.strerror or error}); {remedy}"
        ) from error


def check_apart(path: StrPath, *inputs: StrPath | None) -> None:
    """Refuse a place for a result, a file or a folder, that is one of the inputs.

    Raises
    ------
    InvalidInputError
        If it is one, be it by another name or a link.
    """
    for each in inputs:
        if each is not None and same_place(path, each):
            known = "" if str(each) == str(path) else f" ({each})"
            raise InvalidInputError(
                f"{path}{known} is needed by the same command, and the result would take its "
                "place; give the result another name"
            )


def same_place(one: StrPath, other: StrPath) -> bool:
    """Whether two paths lead to one file or folder, by whatever names; of a file to be, as well.

    An address (``s3://...``) leads nowhere on this machine.
    """
    if "://" in str(other):
        return False
    try:
        first, second = as_path(one), as_path(other)
        if first.exists() and second.exists():
            return first.samefile(second)
        return os.path.realpath(first) == os.path.realpath(second)
    except (OSError, ValueError, InvalidInputError):
        return False


@contextmanager
def made_folder(path: StrPath) -> Iterator[Path]:
    """Make a folder, and those above it, for what the block writes; if it raises, take them away.

    Those that were there, or hold something by then, stay.

    Raises
    ------
    InvalidInputError
        If something else has that name, or it cannot be made.
    """
    folder = as_path(path)
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _remove_empty(made)
        remedy = "give a place where you may write, with room on the disk"
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            remedy = "something there is a file; give the name of a folder"
        raise InvalidInputError(
            f"{path}: no folder can be made there ({error.strerror or error}); {remedy}"
        ) from error
    try:
        yield folder
    except BaseException:
        _remove_empty(made)
        raise


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def is_sqlite(path: StrPath) -> bool:
    """Whether a file begins as SQLite's do; an open collection is not read for it."""
    path = Path(path)
    if not path.is_file():
        return False
    if is_held(path):  # its locks would end with the reading
        return True
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _check_no_collection(target: Path) -> None:
    try:
        taken = is_sqlite(target)
    except OSError:
        return  # whoever writes there says why one cannot
    if taken:
        raise InvalidInputError(
            f"{target} is a collection (a file of SQLite), and all in it would be lost; give the "
            "result another name, or remove that file first"
        )


#: Files of open collections, by device and number: closing any handle of one ends SQLite's locks.
_held: set[tuple[int, int]] = set()


def note_held(key: tuple[int, int]) -> None:
    """Take note of a file, (device, number), that nothing in this process may open and close."""
    _held.add(key)


def forget_held(key: tuple[int, int]) -> None:
    """Forget a file noted by `note_held`."""
    _held.discard(key)


def is_held(path: StrPath) -> bool:
    """Whether a file is that of a collection which this process has open."""
    if not _held:
        return False
    try:
        about = as_path(path).stat()
    except (OSError, ValueError, InvalidInputError):
        return False
    return (about.st_dev, about.st_ino) in _held


def check_not_held(path: StrPath) -> None:
    """Refuse to read the file of an open collection: its locks would end with the reading.

    Raises
    ------
    InvalidInputError
        If it is one.
    """
    if is_held(path):
        raise InvalidInputError(f"{path} is a collection that this process has open; use that one")


def synchronise(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems have no such thing for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def place_new(temporary: Path, target: Path) -> None:
    """Give a file its name, and never that of another file.

    Raises
    ------
    FileExistsError
        If there is something of that name.
    """
    try:
        os.link(temporary, target)  # unlike a rename it never takes the place of another file
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links: the caller has locked the folder against others of us.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        temporary.rename(target)
    else:
        temporary.unlink()
    synchronise(target.parent)


@contextmanager
def locked_folder(folder: Path, *, alone: bool) -> Iterator[bool]:
    """Keep others of us from putting files in their places in a folder, or from opening them.

    The lock leaves no file behind and ends with the process. Where the file system has none
    (yields False) nothing is held.

    Parameters
    ----------
    folder : path
    alone : bool
        Whether this excludes all others, or only those that want to be alone.

    Raises
    ------
    TimeoutError
        If another process holds it for a minute.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield _locked(handle, alone, _PATIENCE_S)
    finally:
        os.close(handle)


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Give a hidden folder beside `target` for what is to take its place; removed afterwards.

    Its name depends on the target's alone, and it is locked while its maker lives: so what a
    killed process leaves is known to be dead, and is used and removed by the next.
    """
    folder, handle = _own_scratch(target)
    try:
        yield folder
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)
        os.close(handle)
        for number in range(_SCRATCHES):
            _sweep(target.with_name(_scratch_name(target.name, number)))


def sweep(target: StrPath) -> None:
    """Remove what a killed process was making to take the place of `target`; leave what lives.

    The first scratch folder is looked at; whoever is the next to make one looks at them all.
    """
    folder, name = os.path.split(target)  # in plain text, for it is done at every opening
    first = os.path.join(folder, _scratch_name(name, 0))  # noqa: PTH118
    if os.path.isdir(first):  # noqa: PTH112
        _sweep(Path(first))


def _sweep(folder: Path) -> None:
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            if _locked(handle, True, 0.0) and _is_at(handle, folder):
                shutil.rmtree(folder)
        finally:
            os.close(handle)


def _own_scratch(target: Path) -> tuple[Path, int]:
    """Make a scratch folder, or take over one of the dead; and the handle that locks it."""
    for number in count():
        folder = target.with_name(_scratch_name(target.name, number))
        while True:
            with suppress(FileExistsError):
                folder.mkdir()
            try:
                handle = os.open(folder, os.O_RDONLY)
            except FileNotFoundError:  # its maker has just removed it
                continue
            try:
                locked = _locked(handle, True, 0.0)
            except TimeoutError:  # its maker is at work
                os.close(handle)
                break
            if not locked:  # no locks on this file system: a name that nobody else has
                os.close(handle)
                folder = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
                folder.mkdir()
                return folder, os.open(folder, os.O_RDONLY)
            if _is_at(handle, folder):
                for left in folder.iterdir():
                    left.unlink()
                return folder, handle
            os.close(handle)
    raise AssertionError  # `count` has no end


def _scratch_name(name: str, number: int) -> str:
    return f".{name}.{number}.tmp"


def _is_at(handle: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(handle))


def _locked(handle: int, alone: bool, patience: float) -> bool:
    """Lock an open file or folder; False where there are no locks."""
    if sys.platform == "win32":
        return False
    end = time.monotonic() + patience
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= end:
                raise TimeoutError(
                    errno.ETIMEDOUT, "another process is at work in the folder"
                ) from error
            time.sleep(_PAUSE_S)
        except OSError:
            return False
        else:
            return True
