"""The files of open collections: that each stays the one that was opened, and where it was.

A process has one handle for all its connections to a file, and keeps it as long as any of them is
open: the locks of SQLite are the process's, and closing any handle of the file ends them.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import stat
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NoReturn

from h2q._files import forget_held, locked_folder, note_held
from h2q.collections.embedded import beside, glance, lineage, schema
from h2q.collections.embedded.connection import Connection
from h2q.errors import CollectionError, FormatError

_lock = threading.Lock()
_held: dict[tuple[int, int], HeldFile] = {}
#: A checkpoint of another process may be seen half done.
_TRIES: Final = 25
_PAUSE_S: Final = 0.02
_TOKENS_KEPT: Final = 65_536
#: Of a file: which it is, and when it was last changed.
_Stamp = tuple[int, int, int, int]


class HeldFile:
    """A file that this process has open.

    Attributes
    ----------
    path : path
        Where it was opened.
    handle : int
    identity : str or None
        Of the collection in it.
    tokens : dict of str
        That of the file when it was opened, and those that this process put into it; the latest
        ones, more than a log that is not cut back yet has room for.
    """

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self.handle = handle
        found = lineage.of_file(handle)
        self.identity = None if found is None else found.identity
        self.tokens: dict[str, None] = {} if found is None else {found.token: None}
        self.key = _key(os.fstat(handle))
        self._place = _place(path)
        self._uses = 1
        self._index: glance.LogIndex | None = None
        self._process = os.getpid()
        #: Whether a connection takes locks on it.
        self.locked = False
        #: Whether a thread was inside of SQLite with it while this process was forked off.
        self.busy = False

    @staticmethod
    def take(path: Path, mode: str) -> HeldFile:
        """Open a file, or join those of this process that have it open.

        Under the lock of the folder; alone, where there is a log. The first to open it makes sure
        that it is a collection (`schema.check_file`) and the log beside it its own.

        Raises
        ------
        CollectionError, FormatError
            If the file, or its name, cannot be used as it is.
        """
        with _lock:
            known = _held.get(_key(path.stat()))
            place = _place(path)
            if known is not None:
                if known._place != place:
                    raise CollectionError(
                        f"{path}: already open in this process as {known.path}; use one name"
                    )
                known._adopt()
                known._uses += 1
                return known
            if _of_place(place) is not None:
                raise CollectionError(
                    f"{path}: has taken the place of a file that this process still has open; "
                    "close that first"
                )
            if not stat.S_ISREG(path.stat().st_mode):
                raise FormatError(f"{path}: not a file; give the path of an h2q collection")
            handle = os.open(path, os.O_RDONLY)
            try:
                schema.check_file(path, handle)
                beside.claim(path, handle, mode)
                held = HeldFile(path, handle)
            except BaseException:
                os.close(handle)
                raise
            _held[held.key] = held
            note_held(held.key)
            return held

    def leave(self, close: bool = True) -> None:
        """End a use; the last closes the handle. The connection must be closed before.

        Parameters
        ----------
        close : bool
            Not where a connection stays open for ever: its locks would end.
        """
        with _lock:
            self._uses -= 1
            if not self._uses:
                _held.pop(self.key, None)
                forget_held(self.key)
                if close:
                    if self._index is not None:
                        self._index.close()
                    os.close(self.handle)

    def index_of_log(self) -> glance.LogIndex | None:
        """Return the index of the log; a connection must have read from the file."""
        path = beside.index_of(self.path)
        with _lock, suppress(OSError):
            if self._index is None:
                self._index = glance.LogIndex(path)
            if self._index.key == _key(path.stat()):  # else the log is lost, which `Guard` tells
                return self._index
        return None

    def _adopt(self) -> None:
        """Make the file this process's own, where it was open when the process was forked off.

        SQLite believes in the child that it holds its parent's locks, and it goes on with the index
        of the log that the parent had. So the locks are taken here, and the index must still be the
        one in use: with another one, writes of this process and of others would destroy each other.

        Raises
        ------
        CollectionError
            If that cannot be.
        """
        if self._process == os.getpid():
            return
        if self.locked and (self.busy or not self._locks_taken()):
            raise CollectionError(
                f"{self.path}: was open when this process was forked off, "
                + (
                    "and in use by another thread"
                    if self.busy
                    else "and has been closed since by the process that forked"
                )
                + "; SQLite cannot open it here any more. Use a process that is started anew "
                "(multiprocessing's 'spawn'), or open the collection only after the fork"
            )
        self._process = os.getpid()

    def _locks_taken(self) -> bool:
        """Take the locks of a reader in this process; return whether the log is still the same."""
        if self._index is None:
            return False
        for _ in range(_TRIES):
            if beside.lock_as_reader(self.handle, self._index.handle):
                try:
                    same = _key(os.stat(beside.index_of(self.path))) == self._index.key  # noqa: PTH116
                except FileNotFoundError:
                    same = False
                if not same:
                    beside.unlock(self.handle)
                return same
            time.sleep(_PAUSE_S)
        return False


def check_free(path: Path) -> None:
    """Refuse to put a file where this process or another has one open.

    Under the lock of the folder, alone.
    """
    with _lock:
        if _of_place(_place(path)) is not None:
            raise CollectionError(
                f"{path}: this process has it open, or had it open when it was moved; close it "
                "first, or give another path"
            )
        if path.exists():
            beside.check_unused(path)
        else:
            beside.clear(path)


class Guard:
    """Notices, at every call, that a file is no longer the one that a connection has open.

    Parameters
    ----------
    held : HeldFile
        Left with `release`.
    connection : Connection
        Which has read from it. Closed with `release`.
    """

    def __init__(self, held: HeldFile, connection: Connection) -> None:
        self.held = held
        self._connection = connection
        self._fixed = connection.fixed
        held.locked |= not connection.fixed
        # As text: they are looked at in every call.
        self._file = str(held.path)
        self._log = str(beside.log_of(held.path))
        self._names = os.fsencode(self._file), os.fsencode(self._log)
        #: What was seen of both at the last look that found nothing amiss.
        self._seen: tuple[bytes | None, bytes | None] = (None, None)
        self._index = held.index_of_log() if connection.shares_log_index() else None
        self._lost: str | None = None
        #: Whether what the log holds must not come into the file any more.
        self._spoilt = False
        self._released = False
        self._lock = threading.RLock()
        self._log_key = self._key_of_log()
        here = os.stat(self._file)  # noqa: PTH116
        self._stamp = _stamp(here)
        self._version = self._data_version()
        if _key(here) != held.key:
            raise CollectionError(f"{held.path}: was replaced while it was opened; open it again")

    @property
    def path(self) -> Path:
        """Where the file was opened, links resolved."""
        return self.held.path

    @property
    def has_index(self) -> bool:
        """Whether `commits` knows."""
        return self._index is not None and self._index.mapped

    def commits(self) -> bytes | None:
        """Return a mark that changes with every commit, of whatever process; None: none is known.

        No call of the system is made, and no lock is taken.
        """
        return None if self._index is None else self._index.header()

    def check(self) -> None:
        """Raise where the file was moved, deleted, replaced or overwritten.

        Raises
        ------
        CollectionError
            Then, and at every call that follows; and after `release`.
        """
        if self._released:
            raise CollectionError(f"{self.held.path}: the collection is closed; open it again")
        if self._lost is not None:
            raise CollectionError(self._lost)
        if self._fixed:  # it may lie on a slow medium, and has no log
            with self._lock:
                self._look()
            return
        seen = glance.facts(self._names[0]), glance.facts(self._names[1])
        if seen == self._seen and None not in seen:
            return
        with self._lock:
            self._look()
        self._seen = seen

    def _look(self) -> None:
        if self._lost is not None:  # another thread has just seen it
            raise CollectionError(self._lost)
        try:
            here, log = os.stat(self._file), self._key_of_log()  # noqa: PTH116
        except FileNotFoundError:
            self._end("was moved or deleted while it was open")
        stamp = _stamp(here)
        if stamp != self._stamp:
            if _key(here) != self.held.key:
                self._end("was replaced by another file while it was open")
            if self._fixed:
                self._end("was changed while it was open in a folder where that is not followed")
            self._examine()
            self._stamp = stamp
        if log != self._log_key:
            if self._fixed:
                self._end("was written to while it was open in a folder where that is not followed")
            self._end("lost its write-ahead log while it was open", alone=True)

    def wrote(self, token: str) -> None:
        """Take note of a transaction of the connection."""
        tokens = self.held.tokens
        tokens[token] = None
        if len(tokens) > _TOKENS_KEPT:
            del tokens[next(iter(tokens))]

    def release(self) -> None:
        """Close the connection, and with it what nobody else uses. Twice is harmless."""
        if self._released:
            return
        with suppress(CollectionError, OSError, sqlite3.Error):
            self.check()
        self._released = True
        kept = self._spoilt and not self._log_set_aside()
        if kept:
            # Closing would write the log into the file: the connection is never closed.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))
        else:
            self._connection.close()
        self.held.leave(close=not kept)
        if self._lost is not None and not self._spoilt:
            self._remove_log()

    def _key_of_log(self) -> tuple[int, int] | None:
        try:
            here = os.stat(self._log)  # noqa: PTH116
        except FileNotFoundError:
            return None
        return None if self._fixed and not here.st_size else _key(here)

    def _examine(self) -> None:
        """Tell a checkpoint, which changes the file, from anything else that does."""
        for _ in range(_TRIES):
            found = lineage.of_file(self.held.handle)
            if found is None and self.held.identity is None:  # by the first h2q
                return
            if found is not None and self.held.identity in (None, found.identity):
                if found.token in self.held.tokens:
                    return
                log = lineage.of_log(Path(self._log))
                if log.frames and log.continues(found):
                    self.held.identity = found.identity
                    return
                if not log.frames and self._data_version() != self._version:
                    self._version = self._data_version()
                    return
            time.sleep(_PAUSE_S)
        self._spoilt = True
        self._end("was overwritten while it was open")

    def _data_version(self) -> int:
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def _end(self, what: str, alone: bool = False) -> NoReturn:
        """Raise; before, save what the log holds into the file, wherever that is now.

        Parameters
        ----------
        what : str
            What happened to the file.
        alone : bool
            Whether that can only be done where nobody else has the file open.
        """
        message = f"{self.held.path}: {what}; close the collection and open it anew"
        if not self._connection.in_transaction:
            self._lost = message
            if not self._fixed and not self._spoilt:
                self._spoilt = not self._saved(alone)
        raise CollectionError(message)

    def _saved(self, alone: bool) -> bool:
        try:
            with ExitStack() as stack:
                if alone:
                    stack.enter_context(locked_folder(self.held.path.parent, alone=True))
                    found = lineage.of_file(self.held.handle)
                    known = found is None or found.token in self.held.tokens
                    if not known or beside.user_of(self.held.handle):
                        return False
                # By handle, not by name: it reaches the file that is open.
                busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                return not busy
        except (OSError, sqlite3.Error):
            return False

    def _log_set_aside(self) -> bool:
        """Keep the log under another name and empty it: closing would write it into the file."""
        log = Path(self._log) if self._key_of_log() == self._log_key else self._unlinked_log()
        if log is None:
            return False
        try:
            if lineage.of_log(log).frames:
                shutil.copyfile(log, beside.name_aside(Path(self._log)))
                os.truncate(log, 0)
        except OSError:
            return False
        return True

    def _unlinked_log(self) -> Path | None:
        """Find the log where it has no name any more: by the handle that SQLite has of it."""
        with suppress(OSError):
            for handle in Path("/proc/self/fd").iterdir():
                with suppress(OSError):
                    if _key(handle.stat()) == self._log_key:
                        return handle
        return None

    def _remove_log(self) -> None:
        """Remove the log, which is empty, from a name that the file no longer has."""
        with suppress(OSError), locked_folder(self.held.path.parent, alone=True):
            ours = self._log_key is not None and self._key_of_log() == self._log_key
            if ours and not Path(self._log).stat().st_size:
                beside.remove_log(self.held.path)


def _key(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino


def _stamp(about: os.stat_result) -> _Stamp:
    return about.st_dev, about.st_ino, about.st_size, about.st_ctime_ns


def _place(path: Path) -> tuple[int, int, str]:
    return *_key(path.parent.stat()), path.name


def _of_place(place: tuple[int, int, str]) -> HeldFile | None:
    return next((held for held in _held.values() if held._place == place), None)


def _forget_in_child() -> None:
    """Begin anew in a forked process: another thread may have held the lock."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
