"""The connections of one collection that only read: each is lent to one thread at a time.

A connection must not be closed under a thread that is inside of SQLite with it, and a process must
not fork while one is: what SQLite remembers of its locks would be wrong in the child for ever. So
who closes a collection closes what nobody uses, and the thread that gives back the last connection
does the rest; and who forks waits until all are back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from h2q.collections.embedded.connection import Connection, connect
from h2q.collections.embedded.held_file import Guard
from h2q.errors import CollectionError

#: Connections kept for the next call; and the memory each may use.
_MOST_IDLE: Final = 4
_CACHE_KIB: Final = 8 << 10


class Readers:
    """Lends connections, and ends them all together with the one that writes.

    Parameters
    ----------
    path : path
        The file.
    guard : Guard
        Of it; released when all connections are back after `close`.
    """

    def __init__(self, path: Path, guard: Guard) -> None:
        self._path, self._guard = path, guard
        self._state = threading.Condition(threading.Lock())
        self._idle: list[Connection] = []
        self._all: list[Connection] = []
        self._lent = 0
        self._closed = self._paused = False
        self._watching: Connection | None = None

    @contextmanager
    def lent(self) -> Iterator[Connection]:
        """Give a connection to this thread alone.

        Raises
        ------
        CollectionError
            If they are closed.
        """
        with self._state:
            while self._paused:
                self._state.wait()
            self._check_open()
            self._lent += 1
            connection = self._idle.pop() if self._idle else None
        try:
            if connection is None:
                connection = self._connected()
            yield connection
        finally:
            with self._state:
                self._lent -= 1
                if connection is not None:
                    if self._closed or len(self._idle) >= _MOST_IDLE:
                        self._all.remove(connection)
                        connection.close()
                    else:
                        self._idle.append(connection)
                last = self._closed and not self._lent
                self._state.notify_all()
            if last:
                self._guard.release()

    def watching(self) -> Connection:
        """Return the connection that watches the file; the caller lets one thread at a time use it.

        For where commits are not told by the index of the log.
        """
        if self._watching is None:
            self._watching = self._connected()
        return self._watching

    def close(self) -> None:
        """Close what nobody uses now, and let the rest follow. Twice is harmless."""
        with self._state:
            if self._closed:
                return
            self._closed = True
            for connection in (*self._idle, *([self._watching] if self._watching else [])):
                self._all.remove(connection)
                connection.close()
            self._idle.clear()
            busy = self._lent > 0
        if not busy:
            self._guard.release()

    def pause(self, patience_s: float) -> bool:
        """Lend nothing more, and wait until all are back; return whether they are."""
        with self._state:
            self._paused = True
            return self._state.wait_for(lambda: not self._lent, patience_s)

    def resume(self) -> None:
        """Lend again."""
        with self._state:
            self._paused = False
            self._state.notify_all()

    def connections(self) -> list[Connection]:
        """Return all that are open."""
        return list(self._all)

    def _check_open(self) -> None:
        if self._closed:
            raise CollectionError(f"{self._path}: the collection is closed; open it again")

    def _connected(self) -> Connection:
        connection = connect(self._path, "r")
        try:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.watch = self._guard
            self._guard.check()  # it is the file of the others
        except BaseException:
            connection.close()
            raise
        self._all.append(connection)
        return connection
