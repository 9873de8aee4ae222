"""The records of items in memory, read from the file when a rank first needs them."""

from __future__ import annotations

import sqlite3
from typing import Final

import numpy as np
from numpy.typing import NDArray

from h2q.collections.embedded import items
from h2q.errors import FormatError

#: Records of removed items are dropped once there are more of them than of items, and than this.
_LEAST_DROPPED: Final = 10_000


class RecordMirror:
    """Follows the records of a file; all reading is done inside the caller's snapshot.

    The record of a row never changes, so only those of newer rows are read.

    Parameters
    ----------
    width : int
        Bytes a record.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._size = 0
        self._last_row = 0
        self._rows = np.empty(0, dtype=np.int64)
        self._records = np.empty((0, width), dtype=np.uint8)

    def of(self, connection: sqlite3.Connection, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the records of rows that the snapshot holds, shape (len(rows), width)."""
        self._refresh(connection)
        known = self._rows[: self._size]
        positions = np.searchsorted(known, rows)
        if len(rows) and (positions.max() >= self._size or (known[positions] != rows).any()):
            raise FormatError(
                "damaged: the records of some items are missing; restore it from a copy"
            )
        return self._records[positions]

    def _refresh(self, connection: sqlite3.Connection) -> None:
        state = items.read_state(connection)
        if self._size > 2 * state.count + _LEAST_DROPPED:
            self._forget()
        if state.last_row == self._last_row:
            return
        for rows, records in items.read_records(connection, self._last_row, self._width):
            self._append(rows, records)
        self._last_row = state.last_row

    def _append(self, rows: NDArray[np.int64], records: NDArray[np.uint8]) -> None:
        end = self._size + len(rows)
        if end > len(self._rows):
            capacity = max(end, len(self._rows) * 3 // 2, 1024)
            self._rows.resize(capacity, refcheck=False)
            self._records.resize((capacity, self._width), refcheck=False)
        self._rows[self._size : end] = rows
        self._records[self._size : end] = records
        self._size = end
        self._last_row = int(rows[-1])

    def _forget(self) -> None:
        self._size = 0
        self._last_row = 0
        self._rows = self._rows[:0].copy()
        self._records = self._records[:0].copy()
