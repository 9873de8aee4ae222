"""The codes in memory, in the order of their rows; all indexes scan this one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.embedded.growing import Growing
from h2q.collections.embedded.id_column import IdColumn
from h2q.collections.inputs import Id

#: Removed codes are squeezed out once they are more than this share of the table.
_DEAD_SHARE: Final = 1 / 8


class TableArrays(NamedTuple):
    """The items of a table as plain arrays: `rows` (n,) int64 ascending, `codes` (n, width)."""

    rows: NDArray[np.int64]
    codes: CodeArray
    ids: IdColumn


class CodeTable:
    """A growing array of codes with their row numbers, ids, and marks for the removed ones.

    Positions are indexes into the arrays. They keep until codes are squeezed out, which `epoch`
    counts. Rows only grow from position to position, so position order is insertion order.

    Parameters
    ----------
    width : int
        Bytes a code.
    arrays : TableArrays, optional
        The first items; not copied, and never written.
    """

    def __init__(self, width: int, arrays: TableArrays | None = None) -> None:
        self.width = width
        self.epoch = 0
        self._dead = 0
        rows, codes, ids = arrays or (
            np.empty(0, dtype=np.int64),
            np.empty((0, width), dtype=np.uint8),
            IdColumn(),
        )
        self._rows, self._codes, self._ids = Growing(rows), Growing(codes), ids
        self._alive = Growing(np.ones(len(rows), dtype=np.bool_))

    def __len__(self) -> int:
        return len(self._rows) - self._dead

    @property
    def dead(self) -> int:
        """Positions whose item was removed."""
        return self._dead

    @property
    def codes(self) -> CodeArray:
        """Codes of all positions, the removed ones among them; a view."""
        return self._codes.array

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row number of each position, ascending; a view."""
        return self._rows.array

    @property
    def alive(self) -> NDArray[np.bool_]:
        """Whether each position's item is still there; a view."""
        return self._alive.array

    def ids_at(self, positions: NDArray[Any]) -> list[Id]:
        """Ids of positions."""
        return self._ids.at(positions)

    def append(self, rows: NDArray[np.int64], codes: CodeArray, ids: Sequence[Id]) -> None:
        """Add codes; `rows` ascend and exceed all rows present."""
        self._rows.extend(rows)
        self._codes.extend(codes)
        self._ids.append(ids)
        self._alive.extend(np.ones(len(rows), dtype=np.bool_))

    def remove(self, rows: NDArray[np.int64]) -> None:
        """Mark rows as removed; rows that are not here are passed over."""
        positions = self.positions_of(rows)
        positions = positions[self.alive[positions]]
        self.alive[positions] = False
        self._dead += len(positions)
        if self._dead > len(self._rows) * _DEAD_SHARE:
            self._squeeze()

    def restricted(self, rows: NDArray[np.int64]) -> Self:
        """Return a table of these rows alone, in the same order."""
        positions = self.positions_of(rows)
        return self._taken(positions[self.alive[positions]])

    def positions_of(self, rows: NDArray[np.int64]) -> NDArray[np.intp]:
        """Positions of those rows that are here (removed ones may be), ascending."""
        rows = np.unique(rows)
        positions = np.searchsorted(self.rows, rows)
        held = positions < len(self._rows)
        held[held] = self.rows[positions[held]] == rows[held]
        return positions[held]

    def arrays(self) -> TableArrays:
        """Return the items that are there, as plain arrays."""
        if not self._dead:
            return TableArrays(self.rows, self.codes, self._ids.packed())
        alive = np.flatnonzero(self.alive)
        return TableArrays(self.rows[alive], self.codes[alive], self._ids.taken(alive).packed())

    def _taken(self, positions: NDArray[np.intp]) -> Self:
        ids = self._ids.taken(positions)
        return type(self)(self.width, TableArrays(self.rows[positions], self.codes[positions], ids))

    def _squeeze(self) -> None:
        rows, codes, self._ids = self.arrays()
        self._rows, self._codes = Growing(rows), Growing(codes)
        self._alive = Growing(np.ones(len(rows), dtype=np.bool_))
        self._dead = 0
        self.epoch += 1
