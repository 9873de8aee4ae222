"""The copy of the codes and ids in memory, brought up to date with the file at each call.

What is read at the first call may come from the cache beside the file (`code_cache`), and an index
from its own (`index_cache`); both are written when it is worth it.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from pathlib import Path
from typing import Final

from h2q.collections.embedded import items
from h2q.collections.embedded.code_cache import CodeCache
from h2q.collections.embedded.connection import writing_at_once
from h2q.collections.embedded.index_cache import IndexCache
from h2q.collections.embedded.row_index import RowIndex
from h2q.collections.embedded.table import CodeTable, TableArrays
from h2q.collections.embedded.view import View
from h2q.collections.filters import Condition

#: Conditions whose matching codes are kept, for the next search with the same condition.
_CONDITIONS_KEPT: Final = 4
_NOTHING: Final = items.State(0, 0, 0)


class Mirror:
    """Follows the items of a file.

    Parameters
    ----------
    path : path
        The file.
    width : int
        Bytes a code.
    index : RowIndex, optional
        An index that is to follow the codes, too.
    """

    def __init__(self, path: Path, width: int, index: RowIndex | None = None) -> None:
        self._width = width
        self._state = _NOTHING
        self._cache = CodeCache(path, width)
        self._index = None if index is None else IndexCache(path, index)
        #: SQLite's count of what other connections committed, when the mirror was brought up to
        #: date; None where that is not known, or this connection has written since.
        self._version: int | None = None
        self._all = self._view_of(None)
        self._matching: OrderedDict[str, View] = OrderedDict()

    def written(self) -> None:
        """Take note that this connection has written: `data_version` does not count that."""
        self._version = None

    def unchanged(self, connection: sqlite3.Connection, condition: Condition | None) -> View | None:
        """Return the view that `view` would, where it is in memory and nothing was committed since.

        Needs no snapshot: it costs one look at the file instead of a transaction.
        """
        if self._version is None or self._version != _data_version(connection):
            return None
        return self._all if condition is None else self._matching.get(condition.key)

    def view(self, connection: sqlite3.Connection, condition: Condition | None = None) -> View:
        """Return the items of the caller's snapshot, or those that meet a condition."""
        self.refresh(connection)
        if condition is None:
            return self._all
        key = condition.key
        if key not in self._matching:
            rows = items.read_rows_where(connection, condition)
            self._matching[key] = View(self._all.table.restricted(rows))
            if len(self._matching) > _CONDITIONS_KEPT:
                self._matching.popitem(last=False)
        self._matching.move_to_end(key)
        return self._matching[key]

    @property
    def loaded(self) -> bool:
        """Whether items are in memory."""
        return self._state != _NOTHING

    def save(self, connection: sqlite3.Connection, share: float) -> None:
        """Write the files beside the collection where this saves time: outside of a transaction.

        Where that cannot be done (another connection is writing, the disk is full, the folder
        read-only) it is left.

        Parameters
        ----------
        connection : sqlite3.Connection
        share : float
            Only what has changed in more than this share of the items.
        """
        due = [cache for cache in self._caches() if cache.due(self._state, share)]
        if not due:
            return
        try:
            with writing_at_once(connection):
                self.refresh(connection)
                tokens = [cache.bind(connection) for cache in due]
        except sqlite3.Error:
            return
        for cache, token in zip(due, tokens, strict=True):
            cache.save(token, self._state, self._all.table)

    def _caches(self) -> list[CodeCache | IndexCache]:
        return [self._cache] if self._index is None else [self._cache, self._index]

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Bring the copy up to the caller's snapshot."""
        state = items.read_state(connection)
        version = _data_version(connection)  # of the snapshot, which the line before began
        if state != self._state:
            self._follow(connection, state)
        self._version = version

    def _follow(self, connection: sqlite3.Connection, state: items.State) -> None:
        known = self._state
        set_back = state.last_row < known.last_row or state.removed < known.removed
        if set_back or state.forgotten > known.removed:  # the log of what was removed is cut
            self._forget()
        try:
            if self._state == _NOTHING:
                self._state, arrays = self._cache.load(connection, state)
                self._all = self._view_of(arrays)
                if self._index is not None:
                    self._index.load(connection)
            known, table = self._state, self._all.table
            if known.last_row and state.removed > known.removed:
                table.remove(items.read_removals(connection, known.removed))
            if state.last_row > known.last_row:
                for rows, codes, ids in items.read_codes(connection, known.last_row, self._width):
                    table.append(rows, codes, ids)
        except BaseException:  # half refreshed: start anew at the next call
            self._forget()
            raise
        self._matching.clear()
        self._state = state

    def _forget(self) -> None:
        self._state, self._version = _NOTHING, None
        self._all = self._view_of(None)
        self._matching.clear()

    def _view_of(self, arrays: TableArrays | None) -> View:
        table = CodeTable(self._width, arrays)
        return View(table, None if self._index is None else self._index.index)


def _data_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version
