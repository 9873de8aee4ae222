"""Rows of a file, and a file that is open for reading rows; the same for every format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from h2q._foreign import naming, reading
from h2q.collections.base import Id
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.ids import row_names
from h2q.rowfiles.labels import Labels

#: What a file holds: real rows, or packed codes.
Kind: TypeAlias = Literal["embeddings", "codes"]
#: Arrays or columns that hold embeddings, by their usual names; the one we write first.
USUAL_KEYS: Final = ("features", "embeddings", "embedding", "vectors", "vector", "X", "z")


@dataclass(frozen=True)
class Hints:
    """What the caller says about a file that does not say it.

    Attributes
    ----------
    n_bits : int or None
        Length of its codes.
    bit_order : {"msb", "lsb"} or None
        Of its codes.
    key : str or None
        Array or column that holds the embeddings.
    kind : {"embeddings", "codes"} or None
        What it is read as; what it says, or what is usual, by default.
    """

    n_bits: int | None = None
    bit_order: str | None = None
    key: str | None = None
    kind: Kind | None = None


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of a file.

    Attributes
    ----------
    values : ndarray, shape (n, d), real; or (n, ceil(n_bits / 8)), uint8
        Embeddings, or codes, MSB first.
    ids : list of str or int, or None
        None where the file has none.
    payloads : list of dict or None, or None
        What the file knows of each row, but for its label.
    labels : Labels or None
    split : ndarray of str, or None
        train, validation, query or database, one a row.
    """

    values: NDArray[Any]
    ids: list[Id] | None = None
    payloads: list[dict[str, Any] | None] | None = None
    labels: Labels | None = None
    split: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def payload(self, row: int) -> dict[str, Any] | None:
        """Return what a collection stores of a row: its payload, and its label in it."""
        held = None if self.payloads is None else self.payloads[row]
        label = {} if self.labels is None else self.labels.payload(row)
        return {**(held or {}), **label} if label else held

    def all_payloads(self) -> list[dict[str, Any] | None]:
        """Return what a collection stores of each row."""
        return [self.payload(row) for row in range(len(self))]

    def take(self, rows: slice | NDArray[Any]) -> Rows:
        """Return some of the rows."""
        places = range(len(self))[rows] if isinstance(rows, slice) else rows.tolist()
        return Rows(
            self.values[rows],
            None if self.ids is None else [self.ids[row] for row in places],
            None if self.payloads is None else [self.payloads[row] for row in places],
            None if self.labels is None else self.labels.part(places),
            None if self.split is None else self.split[rows],
        )

    def of_split(self, split: str | None) -> Rows:
        """Return the rows of a split; all of them for "all", or for None where none is known."""
        if split in (None, "all") or self.split is None:
            return self
        return self.take(np.flatnonzero(self.split == split))


@dataclass(frozen=True, eq=False)
class RowFile:
    """A file of rows, read in ranges.

    Attributes
    ----------
    name : str
        Path or URL.
    kind : {"embeddings", "codes"}
    count : int
        Number of rows.
    width : int
        Columns of embeddings, or bytes of a code.
    n_bits : int or None
        Length of codes.
    reader : callable
        ``reader(start, stop)`` returns those `Rows`, no more of the file read than needed.
    key : str or None
        Array or column that holds the rows.
    dtype : str
        Of embeddings in the file.
    has_split : bool
        Whether it says of each row to which split it belongs.
    classes : list of str or None
        Names of the classes, where the file has them.
    mapped : callable or None
        Returns all values as one memory-mapped array, where that can be done.
    """

    name: str
    kind: Kind
    count: int
    width: int
    n_bits: int | None
    reader: Callable[[int, int], Rows]
    key: str | None = None
    dtype: str = "uint8"
    has_split: bool = False
    classes: list[str] | None = None
    mapped: Callable[[], NDArray[Any]] | None = None

    def guarded(self, what: str) -> RowFile:
        """Return the same file, whose every fault is an error of ours that names it."""
        reader, mapped = self.reader, self.mapped

        def read(start: int, stop: int) -> Rows:
            with reading(self.name, what), naming(self.name):
                return reader(start, stop)

        def map_all() -> NDArray[Any]:
            with reading(self.name, what):
                return mapped() if mapped is not None else reader(0, self.count).values

        return replace(self, reader=read, mapped=None if mapped is None else map_all)

    def read(self, start: int, stop: int, *, base: str | None = None) -> Rows:
        """Read rows `start` to `stop`; those without ids are named by their place after `base`."""
        rows = self.reader(start, min(stop, self.count))
        if rows.ids is not None:
            return rows
        return replace(rows, ids=row_names(start, start + len(rows), base))

    def ranges(self, size: int | None = None) -> Iterator[tuple[int, int]]:
        """Cut the rows into ranges of at most `size`."""
        size = self.at_a_time if size is None else size
        for start in range(0, self.count, size):
            yield start, min(start + size, self.count)

    @property
    def at_a_time(self) -> int:
        """Rows that are read at a time: 32 MiB of float32, at most 20,000."""
        return rows_at_a_time(self.kind, self.width)


def rows_at_a_time(kind: Kind, width: int) -> int:
    """Rows that are read at a time: 32 MiB of float32, at most 20,000."""
    return max(1, min(20_000, (1 << 25) // (width * (4 if kind == "embeddings" else 1))))


def check_embeddings(shape: tuple[int, ...], dtype: np.dtype[Any], name: str) -> None:
    """Raise `InvalidInputError` unless an array is real rows (n, d)."""
    if len(shape) == 2 and dtype == np.uint8:
        raise InvalidInputError(
            f"{name}: uint8 rows look like packed codes or pixels, not embeddings; codes need "
            "their length (h2q import --bits), embeddings a floating-point type"
        )
    if len(shape) != 2 or dtype.kind not in "fiu" or shape[1] == 0:
        raise InvalidInputError(
            f"{name}: rows must be two-dimensional, real numbers of shape (n, d), got {dtype} of "
            f"shape {shape}"
        )


def refuse_key(hints: Hints, name: str, what: str) -> None:
    """Raise `InvalidInputError` where a key is given for a file that has one array only."""
    if hints.key is not None:
        raise InvalidInputError(f"{name}: {what} has no named arrays; leave the key out (--key)")


def check_stated(
    name: str, hints: Hints, *, n_bits: int | None = None, bit_order: str | None = None
) -> None:
    """Raise `FormatError` where the caller says other than the file does.

    Parameters
    ----------
    name : str
    hints : Hints
    n_bits : int, optional
        What the file states.
    bit_order : str, optional
        What it states; "none" where its bits have no order.
    """
    if n_bits is not None and hints.n_bits not in (None, n_bits):
        raise FormatError(f"{name}: holds codes of {n_bits} bits, not {hints.n_bits}")
    if bit_order is not None and hints.bit_order not in (None, bit_order):
        has = "no order of bits" if bit_order == "none" else f"bit order {bit_order}"
        raise FormatError(f"{name}: has {has}, not {hints.bit_order}")


def held_in_memory(file: RowFile, name: str) -> RowFile:
    """Return a file whose rows are all read now, under another name."""
    rows = file.reader(0, file.count)
    return replace(file, name=name, reader=lambda start, stop: rows.take(slice(start, stop)))


def reason_of(error: Exception) -> str:
    """Return the last part of a library's message; the first of faiss's is a line of its source."""
    return str(error).strip().rsplit(": ", 1)[-1]
