"""The copy of the codes and ids in memory, brought up to date with the file at each call.

Readers get a `View` that never changes, and search it side by side. What follows the file makes the
next one of it, under a lock of the caller. What is read at the first call may come from the cache
beside the file, and an index from its own (`derived`); both are written when it is worth it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from h2q.collections.embedded import items
from h2q.collections.embedded.cells import CellIndex
from h2q.collections.embedded.connection import Connection, writing_at_once
from h2q.collections.embedded.derived import CodeCache, IndexCache
from h2q.collections.embedded.indexes import RowIndex
from h2q.collections.embedded.searching import Records, View, Ways
from h2q.collections.embedded.table import CodeTable, Column
from h2q.collections.filters import Condition

#: A mark of all that was committed to a file: an equal one means the same items.
Version: TypeAlias = int | bytes
#: Conditions whose matching codes are kept, for the next search with the same condition.
_CONDITIONS_KEPT: Final = 4
#: Records of removed items are dropped once there are more of them than of items, and than this.
_LEAST_DROPPED: Final = 10_000
_NOTHING: Final = items.State(0, 0, 0)


class _Matching(NamedTuple):
    """The items that meet a condition: rows (ascending) up to `last_row`, and their view."""

    rows: NDArray[np.int64]
    last_row: int
    view: View
    whole: CodeTable


class _Known(NamedTuple):
    """The views of what was committed, without and with records: published whole."""

    version: Version
    whole: View
    with_records: View | None


class Mirror:
    """Follows the items of a file.

    All but `matching` and `unchanged` is called by one thread at a time.

    Parameters
    ----------
    path : path
        The file.
    width : int
        Bytes a code.
    record_width : int
        Bytes a record.
    index : RowIndex or CellIndex, optional
        An index that is to follow the codes, too.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        record_width: int,
        index: RowIndex | CellIndex | None = None,
    ) -> None:
        self._width, self._record_width = width, record_width
        self._state = _NOTHING
        self._cache = CodeCache(path, width)
        self._index = None if index is None else IndexCache(path, index)
        self._forget()

    def _forget(self) -> None:
        self._state = _NOTHING
        self._known: _Known | None = None
        ways = Ways(None if self._index is None else self._index.index)
        self._all = View(CodeTable(self._width), ways)
        self._forget_records()
        self._matching: OrderedDict[str, _Matching] = OrderedDict()
        self._matching_lock = threading.Lock()

    def _forget_records(self) -> None:
        rows: Column[np.int64] = Column(np.empty(0, dtype=np.int64))
        records: Column[np.uint8] = Column(np.empty((0, self._record_width), dtype=np.uint8))
        self._records, self._records_to = Records(rows, records), 0

    def unchanged(
        self, version: Version | None, condition: Condition | None, with_records: bool
    ) -> View | None:
        """Return the view wanted, where it is in memory and `version` is still that of the file.

        Needs no snapshot: any number of threads may ask at once.
        """
        known = self._known
        if known is None or version is None or known.version != version:
            return None
        whole = known.with_records if with_records else known.whole
        if whole is None or condition is None:
            return whole
        with self._matching_lock:
            found = self._matching.get(condition.key)
            if found is None or found.whole is not whole.table:
                return None
            self._matching.move_to_end(condition.key)
        return View(found.view.table, found.view.ways, whole.records)

    def whole(
        self, connection: sqlite3.Connection, version: Version | None, with_records: bool
    ) -> View:
        """Return all items of the caller's snapshot; `version` was the file's before it began."""
        self.refresh(connection)
        whole, recorded = self._all, None
        if with_records:
            self._follow_records(connection)
            recorded = View(whole.table, whole.ways, self._records)
        elif self._known is not None and self._known.whole is whole:
            recorded = self._known.with_records
        if version is not None:
            self._known = _Known(version, whole, recorded)
        return whole if recorded is None or not with_records else recorded

    def matching(self, connection: sqlite3.Connection, condition: Condition, whole: View) -> View:
        """Return the items of `whole` that meet a condition; in the snapshot it was made in.

        Only rows that came since the condition was last asked for are looked at: what is stored of
        a row never changes. Several threads may call this at once.
        """
        key, table = condition.key, whole.table
        last_row = int(table.rows[-1]) if len(table.rows) else 0
        known = self._matching.get(key)
        if known is not None and known.last_row > last_row:
            known = None
        ways = Ways() if known is None else known.view.ways
        rows = np.empty(0, np.int64) if known is None else known.rows
        after = 0 if known is None else known.last_row
        if after < last_row:
            rows = np.concatenate([rows, items.read_rows_where(connection, condition, after)])
        if known is not None and known.whole is table:
            view = View(known.view.table, ways, whole.records)
        else:
            view = View(table.restricted(rows), ways, whole.records)
        with self._matching_lock:
            kept = View(view.table, ways)
            self._matching[key] = _Matching(rows, last_row, kept, table)
            self._matching.move_to_end(key)
            if len(self._matching) > _CONDITIONS_KEPT:
                self._matching.popitem(last=False)
        return view

    @property
    def loaded(self) -> bool:
        """Whether items are in memory."""
        return self._state != _NOTHING

    def due(self, share: float) -> list[CodeCache | IndexCache]:
        """Return the files beside the collection that lack more than this share of the items."""
        caches: list[CodeCache | IndexCache] = [self._cache]
        if self._index is not None:
            caches.append(self._index)
        return [cache for cache in caches if cache.due(self._state, share)]

    def save(
        self,
        connection: Connection,
        due: list[CodeCache | IndexCache],
        lock: threading.RLock,
    ) -> None:
        """Write files beside the collection: outside of a transaction, and outside of `lock`.

        Where that cannot be done (another connection is writing, the disk is full, the folder
        read-only) it is left.
        """
        try:
            with writing_at_once(connection):
                with lock:
                    self.refresh(connection)
                    state, table = self._state, self._all.table
                tokens = [cache.bind(connection) for cache in due]
        except sqlite3.Error:
            return
        for cache, token in zip(due, tokens, strict=True):
            cache.save(token, state, table)

    def refresh(self, connection: sqlite3.Connection) -> None:
        """Bring the copy up to the caller's snapshot."""
        state = items.read_state(connection)
        if state != self._state:
            self._follow(connection, state)

    def _follow(self, connection: sqlite3.Connection, state: items.State) -> None:
        known = self._state
        set_back = state.last_row < known.last_row or state.removed < known.removed
        if set_back or state.forgotten > known.removed:  # the log of what was removed is cut
            self._forget()
        known, whole = self._state, self._all
        table = whole.table
        if known == _NOTHING:
            known, arrays = self._cache.load(connection, state)
            table = CodeTable(self._width, arrays)
            if self._index is not None:
                self._index.load(connection)
        if known.last_row and state.removed > known.removed:
            table = table.without(items.read_removals(connection, known.removed))
        if state.last_row > known.last_row:
            for rows, codes, ids in items.read_codes(connection, known.last_row, self._width):
                table = table.with_added(rows, codes, ids)
        # Published whole, or not at all where something above failed.
        self._all, self._state = View(table, whole.ways), state

    def _follow_records(self, connection: sqlite3.Connection) -> None:
        state = self._state
        if len(self._records.rows) > 2 * state.count + _LEAST_DROPPED:
            self._forget_records()
        if state.last_row == self._records_to:
            return
        rows, records = self._records.rows, self._records.records
        blocks = items.read_records(connection, self._records_to, self._record_width)
        for more_rows, more_records in blocks:
            rows, records = rows.extended(more_rows), records.extended(more_records)
        self._records, self._records_to = Records(rows, records), state.last_row
