"""The codes in memory, in the order of their rows; both indexes scan this one array."""

from __future__ import annotations

from typing import Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray

_Scalar = TypeVar("_Scalar", bound=np.generic)
#: Removed codes are squeezed out once they are more than this share of the table.
_DEAD_SHARE: Final = 1 / 8


class CodeTable:
    """A growing array of codes with their row numbers and marks for the removed ones.

    Positions are indexes into the arrays. They keep until codes are squeezed out, which `epoch`
    counts. Rows only grow from position to position, so position order is insertion order.

    Parameters
    ----------
    width : int
        Bytes a code.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.epoch = 0
        self._size = 0
        self._dead = 0
        self._codes = np.empty((0, width), dtype=np.uint8)
        self._rows = np.empty(0, dtype=np.int64)
        self._alive = np.empty(0, dtype=np.bool_)

    def __len__(self) -> int:
        return self._size - self._dead

    @property
    def dead(self) -> int:
        """Positions whose item was removed."""
        return self._dead

    @property
    def codes(self) -> CodeArray:
        """Codes of all positions, the removed ones among them; a view."""
        return self._codes[: self._size]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row number of each position, ascending; a view."""
        return self._rows[: self._size]

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Whether each position's item is still there; a view."""
        return self._alive[: self._size]

    def append(self, rows: NDArray[np.int64], codes: CodeArray) -> None:
        """Add codes; `rows` ascend and exceed all rows present."""
        end = self._size + len(rows)
        if end > len(self._rows):
            capacity = max(end, len(self._rows) * 3 // 2, 1024)
            self._codes = _grown(self.codes, capacity)
            self._rows = _grown(self.rows, capacity)
            self._alive = _grown(self.alive, capacity)
        self._codes[self._size : end] = codes
        self._rows[self._size : end] = rows
        self._alive[self._size : end] = True
        self._size = end

    def remove(self, rows: NDArray[np.int64]) -> None:
        """Mark rows as removed; rows that are not here are passed over."""
        positions = self._positions(rows)
        positions = positions[self._alive[positions]]
        self._alive[positions] = False
        self._dead += len(positions)
        if self._dead > self._size * _DEAD_SHARE:
            self._squeeze()

    def restricted(self, rows: NDArray[np.int64]) -> Self:
        """Return a table of these rows alone, in the same order."""
        positions = self._positions(rows)
        positions = positions[self._alive[positions]]
        table = type(self)(self.width)
        table.append(self._rows[positions], self._codes[positions])
        return table

    def _positions(self, rows: NDArray[np.int64]) -> NDArray[np.intp]:
        rows = np.unique(rows)
        positions = np.searchsorted(self.rows, rows)
        held = positions < self._size
        held[held] = self.rows[positions[held]] == rows[held]
        return positions[held]

    def _squeeze(self) -> None:
        alive = self.alive
        self._codes, self._rows = self.codes[alive], self.rows[alive]
        self._size, self._dead = len(self._rows), 0
        self._alive = np.ones(self._size, dtype=np.bool_)
        self.epoch += 1


def _grown(array: NDArray[_Scalar], capacity: int) -> NDArray[_Scalar]:
    grown: NDArray[_Scalar] = np.empty((capacity, *array.shape[1:]), dtype=array.dtype)
    grown[: len(array)] = array
    return grown
