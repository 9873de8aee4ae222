"""The files that go by a collection's name beside it, and who is using them.

SQLite finds the write-ahead log and its index by the name of the file alone. So a file that comes
to a name must not meet what another left there, and a name that is in use must not be taken.
"""

from __future__ import annotations

import os
import struct
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Final

from h2q.collections.embedded import lineage
from h2q.errors import CollectionError

if sys.platform != "win32":
    import fcntl

#: What SQLite keeps under a name of its own, and what h2q does.
_LOGS: Final = ("-wal", "-journal")
_INDEX_OF_LOG: Final = "-shm"
_CACHES: Final = (".cache", ".index")
#: Bytes that SQLite locks in the file while a connection is open, and in the log's index.
_SHARED: Final = (0x40000002, 510)
_DEAD_MAN_SWITCH: Final = (128, 1)
#: Between opening the file and its log a process has but one of the two locks.
_TRIES: Final = 50
_PAUSE_S: Final = 0.01
_FLOCK: Final = "hhqqi4x" if sys.platform == "linux" else "qqihh"


def check_name(path: Path) -> None:
    """Refuse the names of SQLite's own files."""
    if path.name.endswith((*_LOGS, _INDEX_OF_LOG)):
        raise CollectionError(
            f"{path}: SQLite gives names of this ending to the files beside a collection; give "
            "another name"
        )


def log_of(path: Path) -> Path:
    """Path of the write-ahead log."""
    return Path(f"{path}-wal")


def index_of(path: Path) -> Path:
    """Path of the index of the write-ahead log."""
    return Path(f"{path}{_INDEX_OF_LOG}")


def derived(path: Path) -> list[Path]:
    """Paths of the files of ours beside a collection."""
    return [Path(f"{path}{suffix}") for suffix in _CACHES]


def claim(path: Path, handle: int, mode: str) -> None:
    """Make sure that a file is not used under another name, and that the log beside it is its own.

    For the first opening in this process; under the lock of the folder, alone where there is a log.

    Parameters
    ----------
    path : path
    handle : int
        The file, open.
    mode : {"a", "r"}
        With "a", the log of another file is set aside.

    Raises
    ------
    CollectionError
        If another process uses the file, or the name, in a way that would damage either.
    """
    if mode == "a" and os.fstat(handle).st_nlink > 1:
        raise CollectionError(
            f"{path}: has more than one name (hard links), and its write-ahead log would go by one "
            "of them; copy the file, or give it symbolic links instead"
        )
    log, journal = log_of(path), Path(f"{path}-journal")
    if journal.exists() and journal.stat().st_size:
        raise CollectionError(
            f"{path}: {journal.name} beside it is not h2q's, and SQLite would write it into the "
            "collection; move it away, or open the collection with the program that left it"
        )
    for _ in range(_TRIES):
        user, user_of_log = user_of(handle), _user_of_log(path)
        if not user and _has_open(user_of_log, handle):  # it lost its locks (`held_file`)
            user = user_of_log
        itself = lineage.of_file(handle)
        ours = lineage.of_log(log).continues(itself)
        if bool(user) == bool(user_of_log) and (ours or not user):
            break
        time.sleep(_PAUSE_S)
    if not ours and not user:
        left = lineage.of_log(log, exactly=True)
        ours = left.continues(itself)
        if ours is None and itself is None and left.chain:
            ours = lineage.is_torn_page_of(handle, left) or None
    if user_of_log and not user:
        raise CollectionError(
            f"{path}: has taken the place of a file that {_named(user_of_log)} still has open; end "
            "that process first"
        )
    if user and not user_of_log:
        raise CollectionError(
            f"{path}: {_named(user)} has it open under another name, or for itself alone; open it "
            "under that name, or end that process first"
        )
    if ours:
        return
    if user:
        raise CollectionError(
            f"{path}: was overwritten while {_named(user)} has it open; end that process first"
        )
    if ours is None:
        raise CollectionError(
            f"{path}: it cannot be told whether {log.name} beside it belongs to it; if another "
            "program wrote to the collection, open it with that; else move that file away"
        )
    if mode == "r":
        raise CollectionError(
            f"{path}: {log.name} beside it is of another file; open the collection once for "
            "writing, which sets it aside (in Python without mode='r'), or move it away"
        )
    _set_aside(log)


def clear(path: Path) -> None:
    """Make room for a new file where there is none; under the lock of the folder, alone.

    What the log of a file that is gone may hold is set aside; what was derived is removed.

    Raises
    ------
    CollectionError
        If another process still has the file open that is gone.
    """
    if user := _user_of_log(path):
        raise CollectionError(
            f"{path}: {_named(user)} still has a file of this name open, which was deleted or "
            "moved; end that process first"
        )
    for suffix in _LOGS:
        log = Path(f"{path}{suffix}")
        if log.exists() and log.stat().st_size:
            _set_aside(log)
    remove(path)


def check_unused(path: Path) -> None:
    """Refuse to replace a file that another process uses; under the lock of the folder, alone."""
    user = _user_of_log(path)
    if not user:
        handle = os.open(path, os.O_RDONLY)
        try:
            user = user_of(handle)
        finally:
            os.close(handle)
    if user:
        raise CollectionError(
            f"{path}: {_named(user)} has it open; end that process first, or give another path"
        )


def remove(path: Path) -> None:
    """Remove all that is left beside a name; under the lock of the folder, alone."""
    remove_log(path)
    for file in derived(path):
        if file.is_file() or file.is_symlink():
            file.unlink()


def remove_log(path: Path) -> None:
    """Remove the log beside a name, which nobody has open."""
    for suffix in (*_LOGS, _INDEX_OF_LOG):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def name_aside(log: Path) -> Path:
    """Give a free name for what is kept, but out of SQLite's sight."""
    number = 0
    while os.path.lexists(aside := log.with_name(f"{log.name}.{number}.aside")):
        number += 1
    return aside


def user_of(handle: int) -> int:
    """Return a process other than this that has a file open; 0 where none has."""
    return _user(handle, _SHARED)


def lock_as_reader(handle: int, index: int) -> bool:
    """Take the locks that SQLite holds for an open connection; return whether they could be had.

    Parameters
    ----------
    handle, index : int
        The file and the index of its log, open.
    """
    if sys.platform == "win32":
        return False
    for of, (start, length) in ((handle, _SHARED), (index, _DEAD_MAN_SWITCH)):
        try:
            fcntl.lockf(of, fcntl.LOCK_SH | fcntl.LOCK_NB, length, start)
        except OSError:  # another process is about to open or to close it
            unlock(handle)
            return False
    return True


def unlock(handle: int) -> None:
    """Give back what `lock_as_reader` took of the file."""
    if sys.platform != "win32":
        start, length = _SHARED
        fcntl.lockf(handle, fcntl.LOCK_UN, length, start)


def _set_aside(log: Path) -> None:
    """Rename a log that may hold items of another file."""
    aside = name_aside(log)
    log.rename(aside)
    warnings.warn(
        f"{log}: of another file than the collection of that name; it was set aside as "
        f"{aside.name}. If nothing is missing, delete it",
        stacklevel=2,
    )


def _named(process: int) -> str:
    return f"process {process}" if process > 0 else "another process"


def _user_of_log(path: Path) -> int:
    try:
        handle = os.open(index_of(path), os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        return _user(handle, _DEAD_MAN_SWITCH)
    finally:
        os.close(handle)


def _has_open(process: int, handle: int) -> bool:
    """Whether a process has a file open, where the system tells."""
    with suppress(OSError):
        for other in Path(f"/proc/{process}/fd").iterdir():
            with suppress(OSError):
                if os.path.samestat(other.stat(), os.fstat(handle)):
                    return True
    return False


def _user(handle: int, where: tuple[int, int]) -> int:
    """Return a process other than this that holds a lock on a part of a file; 0 where none does."""
    if sys.platform not in ("linux", "darwin"):
        return 0
    start, length = where
    if sys.platform == "linux":
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
        kind, _, _, _, process = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, asked))
    else:
        asked = struct.pack(_FLOCK, start, length, 0, fcntl.F_WRLCK, os.SEEK_SET)
        _, _, process, kind, _ = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, asked))
    # A process on another machine, or in another container, has no number here.
    return 0 if kind == fcntl.F_UNLCK else process or -1
