"""A collection file that is open: its snapshots and transactions, and the copy in memory."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from h2q.codes import code_width
from h2q.collections.base import Collection
from h2q.collections.embedded import items
from h2q.collections.embedded.connection import Mode, reading, writing
from h2q.collections.embedded.faults import reported
from h2q.collections.embedded.held_file import Guard
from h2q.collections.embedded.mirror import Mirror
from h2q.collections.embedded.row_index import RowIndex
from h2q.collections.embedded.view import View
from h2q.collections.filters import Condition
from h2q.collections.index_spec import IndexSpec
from h2q.errors import CollectionError

#: Of the items: the files beside the collection are written anew after a search, or when it is
#: closed, once more than this share is not in them.
_LAG_SEARCHING: Final = 1 / 4
_LAG_CLOSING: Final = 1 / 16


class Session(Collection):
    """What every call on an open collection goes through; one thread at a time.

    Parameters
    ----------
    connection : sqlite3.Connection
        Of the file; closed with the session.
    path : path
        As it was given; what lies beside the file goes by `guard.path`.
    mode : {"a", "r"}
    n_bits : int
        Length of the codes.
    spec : IndexSpec
        The index that finds them.
    guard : Guard
        Of the file; released with the session.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        mode: Mode,
        n_bits: int,
        spec: IndexSpec,
        guard: Guard,
    ) -> None:
        self._connection = connection
        self._guard = guard
        # An object that nobody closed gives its file back all the same.
        self._end = weakref.finalize(self, guard.release)
        self._path = path
        self._mode: Mode = mode
        self._spec = spec
        # An index is only made where it can be kept for the next time.
        index = None if spec.kind == "flat" else RowIndex(spec, may_build=mode == "a")
        self._file = guard.path
        self._mirror = Mirror(self._file, code_width(n_bits), index)
        self._lock = threading.RLock()
        self._closed = False

    def compact(self) -> None:
        """Give the space of deleted items back to the disk. Needs as much free space meanwhile."""
        self._check_writable()
        with self._transaction() as connection:
            items.forget_removals(connection)
        with self._lock, reported(self._path):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._guard.check()

    def optimize(self, share: float = 0.0) -> None:
        """Build the index where there is one, and write the files that open the collection fast.

        The first search of an object that may write does the same; after adding many items this
        spares it, and those who open the collection with mode="r", the wait. Small collections
        need no such files, and with mode="r" none is written.

        Parameters
        ----------
        share : float
            Only what lacks more than this share of the items is written anew.
        """
        with self._lock, reported(self._path):
            self._guard.check()
            with reading(self._connection):
                self._mirror.view(self._connection).prepare()
            if self._mode == "a":
                self._mirror.save(self._connection, share)

    def close(self) -> None:
        """Release the file. Closing twice is harmless.

        Where it was searched and much was written since, the files that open it fast are renewed.
        """
        with self._lock:
            if not self._closed and self._mode == "a":
                self._save_before_closing()
            self._release()

    def _release(self) -> None:
        with self._lock:
            self._closed = True
            self._end()

    def _save_before_closing(self) -> None:
        if not self._mirror.loaded:
            return
        try:
            with reading(self._connection):
                self._mirror.refresh(self._connection)
            self._mirror.save(self._connection, _LAG_CLOSING)
        except (
            sqlite3.Error,
            CollectionError,
        ):  # a damaged or a full disk: whoever reads on is told
            return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._release()

    @contextmanager
    def _view(self, condition: Condition | None, alone: bool = True) -> Iterator[View]:
        """Give the newest state, in a snapshot; without one where `alone` it is all one needs."""
        with self._lock, reported(self._path):
            self._guard.check()
            if alone and (view := self._mirror.unchanged(self._connection, condition)) is not None:
                yield view
            else:
                with reading(self._connection):
                    yield self._mirror.view(self._connection, condition)
            if self._mode == "a":
                self._mirror.save(self._connection, _LAG_SEARCHING)

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        with self._lock, reported(self._path):
            self._guard.check()
            with reading(self._connection):
                yield self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, reported(self._path):
            self._mirror.written()
            with writing(self._connection):
                yield self._connection
