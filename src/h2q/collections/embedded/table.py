"""The codes and ids in memory, in the order of their rows: tables that never change.

A reader has a table as long as it wants. A writer makes the next one of it: what is added goes into
spare room behind what the reader sees, so little is copied; marks of removal are copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.inputs import Id

#: Removed codes are squeezed out once they are more than this share of the table.
_DEAD_SHARE: Final = 1 / 8
#: Length of an id that is a number, not a text.
_NUMBER: Final = -1

_Scalar = TypeVar("_Scalar", bound=np.generic)


class _Room(Generic[_Scalar]):
    """Memory that several columns of growing length begin."""

    __slots__ = ("array", "used")

    def __init__(self, array: NDArray[_Scalar], used: int) -> None:
        self.array, self.used = array, used


class Column(Generic[_Scalar]):
    """Rows of one type that never change; `extended` shares them with the longer column.

    Parameters
    ----------
    array : ndarray
        The rows. Not copied, and never written: it may be a file mapped into memory.
    """

    __slots__ = ("_room", "array")

    def __init__(self, array: NDArray[_Scalar], room: _Room[_Scalar] | None = None) -> None:
        #: All rows; a view.
        self.array = array
        self._room = room

    def __len__(self) -> int:
        return len(self.array)

    def extended(self, rows: NDArray[_Scalar]) -> Self:
        """Return a column with rows at its end; each is copied but a few times on the way.

        Of columns that share memory only the longest may be extended, by one thread at a time.
        """
        size = len(self.array)
        end = size + len(rows)
        room = self._room
        if room is None or room.used != size or end > len(room.array):
            capacity = max(end, size * 3 // 2, 1024)
            grown = np.empty((capacity, *self.array.shape[1:]), dtype=self.array.dtype)
            grown[:size] = self.array
            room = _Room(grown, size)
        room.array[size:end] = rows
        room.used = end
        return type(self)(room.array[:end], room)


class IdArrays(NamedTuple):
    """Ids as plain arrays.

    `values` (n,) int64: an id that is a number, or where its text begins; `lengths` (n,) int32:
    bytes of its text, -1 for a number; `text`: UTF-8, uint8.
    """

    values: NDArray[np.int64]
    lengths: NDArray[np.int32]
    text: NDArray[np.uint8]


class IdColumn:
    """Ids by position, without a Python object for each: 12 bytes, and the UTF-8 of texts.

    Parameters
    ----------
    arrays : IdArrays, optional
        The ids; not copied.
    """

    def __init__(self, arrays: IdArrays | None = None) -> None:
        values, lengths, text = arrays or (
            np.empty(0, np.int64),
            np.empty(0, np.int32),
            np.empty(0, np.uint8),
        )
        self._values, self._lengths, self._text = Column(values), Column(lengths), Column(text)
        self._any_text = len(text) > 0 or bool((lengths >= 0).any())

    def __len__(self) -> int:
        return len(self._values)

    def extended(self, ids: Sequence[Id]) -> Self:
        """Return the ids with more at their end (`Column.extended`)."""
        longer = type(self).__new__(type(self))
        if all(type(item_id) is int for item_id in ids):
            longer._any_text, longer._text = self._any_text, self._text
            values = np.array(ids, dtype=np.int64)
            sizes = np.full(len(ids), _NUMBER, dtype=np.int64)
        else:
            longer._any_text = True
            texts = [item_id.encode() if isinstance(item_id, str) else None for item_id in ids]
            sizes = np.array([_NUMBER if text is None else len(text) for text in texts], np.int64)
            written = np.maximum(sizes, 0)
            values = np.cumsum(written) - written + len(self._text)
            for i in np.flatnonzero(sizes < 0).tolist():
                values[i] = ids[i]
            joined = b"".join(text for text in texts if text is not None)
            longer._text = self._text.extended(np.frombuffer(joined, dtype=np.uint8))
        longer._values = self._values.extended(values)
        longer._lengths = self._lengths.extended(sizes.astype(np.int32))
        return longer

    def at(self, positions: NDArray[Any]) -> list[Id]:
        """Ids of positions, as they were given."""
        values: list[int] = self._values.array[positions].tolist()
        if not self._any_text:
            return list(values)
        text = self._text.array.data
        lengths = self._lengths.array[positions].tolist()
        return [
            value if length < 0 else str(text[value : value + length], "utf-8")
            for value, length in zip(values, lengths, strict=True)
        ]

    def taken(self, positions: NDArray[Any]) -> Self:
        """Return the ids of these positions alone; their texts are shared."""
        return type(self)(
            IdArrays(
                self._values.array[positions], self._lengths.array[positions], self._text.array
            )
        )

    def packed(self) -> Self:
        """Return the same ids without the text of others."""
        values, lengths = self._values.array.copy(), self._lengths.array
        is_text = lengths >= 0
        sizes = lengths[is_text].astype(np.int64)
        if int(sizes.sum()) == len(self._text):
            return self
        starts = np.cumsum(sizes) - sizes
        parts = np.repeat(values[is_text] - starts, sizes) + np.arange(int(sizes.sum()))
        values[is_text] = starts
        return type(self)(IdArrays(values, lengths, self._text.array[parts]))

    def arrays(self) -> IdArrays:
        """Return the ids as plain arrays; views."""
        return IdArrays(self._values.array, self._lengths.array, self._text.array)


class TableArrays(NamedTuple):
    """The items of a table as plain arrays: `rows` (n,) int64 ascending, `codes` (n, width)."""

    rows: NDArray[np.int64]
    codes: CodeArray
    ids: IdColumn


class CodeTable:
    """Codes with their row numbers, ids, and marks for the removed ones; it never changes.

    Positions are indexes into the arrays. Tables of one `lineage` have the same codes at the same
    positions, as far as they go. Rows only grow from position to position, so position order is
    insertion order.

    Parameters
    ----------
    width : int
        Bytes a code.
    arrays : TableArrays, optional
        The items; not copied, and never written.
    """

    def __init__(self, width: int, arrays: TableArrays | None = None) -> None:
        self.width = width
        self.lineage = object()
        #: Positions whose item was removed.
        self.dead = 0
        rows, codes, ids = arrays or (
            np.empty(0, dtype=np.int64),
            np.empty((0, width), dtype=np.uint8),
            IdColumn(),
        )
        self._rows, self._codes, self._ids = Column(rows), Column(codes), ids
        self._alive = Column(np.ones(len(rows), dtype=np.bool_))

    def __len__(self) -> int:
        return len(self._rows) - self.dead

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

    def with_added(self, rows: NDArray[np.int64], codes: CodeArray, ids: Sequence[Id]) -> Self:
        """Return a table with more items; `rows` ascend and exceed all rows present.

        Of tables of one lineage only the longest may be asked for it, by one thread at a time.
        """
        longer = self._copy()
        longer._rows = self._rows.extended(rows)
        longer._codes = self._codes.extended(codes)
        longer._ids = self._ids.extended(ids)
        longer._alive = self._alive.extended(np.ones(len(rows), dtype=np.bool_))
        return longer

    def without(self, rows: NDArray[np.int64]) -> Self:
        """Return a table with rows marked as removed; rows that are not here are passed over."""
        positions = self.positions_of(rows)
        positions = positions[self.alive[positions]]
        if not len(positions):
            return self
        shorter = self._copy()
        alive = self.alive.copy()
        alive[positions] = False
        shorter._alive = Column(alive)
        shorter.dead += len(positions)
        if shorter.dead > len(self._rows) * _DEAD_SHARE:
            return type(self)(self.width, shorter.arrays())  # the removed ones squeezed out
        return shorter

    def restricted(self, rows: NDArray[np.int64]) -> Self:
        """Return a table of these rows alone, in the same order."""
        positions = self.positions_of(rows)
        positions = positions[self.alive[positions]]
        ids = self._ids.taken(positions)
        return type(self)(self.width, TableArrays(self.rows[positions], self.codes[positions], ids))

    def positions_of(self, rows: NDArray[np.int64]) -> NDArray[np.intp]:
        """Positions of those rows that are here (removed ones may be), ascending."""
        rows = np.unique(rows)
        positions = np.searchsorted(self.rows, rows)
        held = positions < len(self._rows)
        held[held] = self.rows[positions[held]] == rows[held]
        return positions[held]

    def arrays(self) -> TableArrays:
        """Return the items that are there, as plain arrays."""
        if not self.dead:
            return TableArrays(self.rows, self.codes, self._ids.packed())
        alive = np.flatnonzero(self.alive)
        return TableArrays(self.rows[alive], self.codes[alive], self._ids.taken(alive).packed())

    def _copy(self) -> Self:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other
