"""The two sides of a retrieval, query and database: real rows, packed codes, or both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array, CodeArray
from h2q.codes import check_codes, pack, unpack_signs
from h2q.errors import InvalidInputError
from h2q.evaluation._labels import as_numpy

#: Rows converted to float64 at a time where the whole would be large.
_CHUNK = 4096
#: The sort keys of the rankings hold a distance in 13 bits.
_MAX_BITS = 8191
#: Real rows of at most this many entries are converted once and kept (256 MiB).
_KEEP = 1 << 25


@dataclass(frozen=True, eq=False)
class Side:
    """Query or database items.

    Attributes
    ----------
    codes : ndarray of uint8, shape (n, ceil(n_bits / 8))
        Packed codes.
    rows : ndarray, shape (n, n_bits), or None
        The real rows the codes were made from, if they were given.
    """

    codes: CodeArray
    rows: NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def unit(self) -> UnitRows:
        """The real rows at length 1, made when a ranking first needs them."""
        if self.rows is None:
            raise ValueError("there are codes only")
        return UnitRows(self.rows)


class UnitRows:
    """Rows scaled to length 1, for cosine similarities in float64. Zero rows stay zero.

    Parameters
    ----------
    rows : ndarray, shape (n, k)
    length : float, optional
        What length 1 stands for, the same for all rows; by default each row's own length.
    """

    def __init__(self, rows: NDArray[Any], length: float | None = None) -> None:
        if length is None:
            norms = np.concatenate(
                [np.linalg.norm(rows[s].astype(np.float64), axis=1) for s in _chunks(len(rows))]
            )
        else:
            norms = np.full(len(rows), length)
        self._scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)[:, None]
        self._rows = rows if rows.size > _KEEP else rows * self._scale
        self._scaled = rows.size <= _KEEP

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: slice) -> NDArray[np.float64]:
        """Return the unit rows of a slice."""
        part = self._rows[rows].astype(np.float64, copy=False)
        return part if self._scaled else part * self._scale[rows]

    def similarities(self, query: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the inner products of `query` (b, d) with every row, shape (b, n)."""
        if self._scaled:
            return np.asarray(query @ self._rows.T)
        out = np.empty((len(query), len(self)))
        for part in _chunks(len(self)):
            out[:, part] = query @ self.take(part).T
        return out


class Decoder(Protocol):
    """Turns codes into the rows they stand for; see `h2q.CodeDecoder`."""

    def decode(self, codes: CodeArray) -> NDArray[np.float32]:
        """Return a row of norm at most sqrt(n_bits) for each code, (n, n_bits)."""
        ...


class DistinctCodes:
    """Codes against real queries: each distinct code is scored once, so equal codes tie exactly.

    Parameters
    ----------
    codes : ndarray of uint8, shape (n, ceil(n_bits / 8))
    n_bits : int
    decoder : Decoder, optional
        Gives what a code stands for, instead of its signs.
    """

    def __init__(self, codes: CodeArray, n_bits: int, decoder: Decoder | None = None) -> None:
        distinct, inverse = np.unique(as_items(codes), return_inverse=True)
        self._inverse = inverse if len(distinct) < len(codes) else None
        packed = (
            codes
            if self._inverse is None
            else distinct.view(np.uint8).reshape(len(distinct), codes.shape[1])
        )
        if decoder is None:
            self._rows = UnitRows(unpack_signs(packed, n_bits))
        else:  # how long a decoded row is says how sure it is
            self._rows = UnitRows(decoder.decode(packed), length=n_bits**0.5)

    def similarities(self, query: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the products of real unit `query` rows and what the codes stand for, (b, n)."""
        scores = self._rows.similarities(query)
        return scores if self._inverse is None else scores[:, self._inverse]


def prepare(query: Array, database: Array, n_bits: int | None) -> tuple[Side, Side, int]:
    """Check the two sides and pack their codes.

    Parameters
    ----------
    query, database : array, shape (nq, k) and (n, k), or (.., ceil(n_bits / 8)) of uint8
        Real rows (their signs are the codes), or packed codes, which need `n_bits`.
    n_bits : int or None
        Length of the codes; k where a side is real.

    Returns
    -------
    query, database : Side
    n_bits : int

    Raises
    ------
    InvalidInputError
        For empty sides, NaN or infinite rows, or sides of different lengths.
    """
    arrays = {"query": as_numpy(query), "database": as_numpy(database)}
    for name, array in arrays.items():
        if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiub":
            raise InvalidInputError(
                f"{name}: expected real rows (n, k) or packed uint8 codes, "
                f"got {array.dtype} of shape {array.shape}"
            )
        if array.dtype == np.uint8:
            continue
        if n_bits is None:
            n_bits = array.shape[1]
        if array.shape[1] != n_bits:
            raise InvalidInputError(f"{name} has {array.shape[1]} columns, expected {n_bits}")
        if array.dtype.kind == "f" and not all(
            np.isfinite(array[s]).all() for s in _chunks(len(array))
        ):
            raise InvalidInputError(f"{name} has rows with NaN or infinity; remove or repair them")
    if n_bits is None:
        raise InvalidInputError("packed codes on both sides need n_bits, the length of a code")
    if n_bits > _MAX_BITS:
        raise InvalidInputError(f"codes of {n_bits} bits are longer than {_MAX_BITS}")
    return _side(arrays["query"], n_bits), _side(arrays["database"], n_bits), n_bits


def _side(array: NDArray[Any], n_bits: int) -> Side:
    if array.dtype == np.uint8:
        return Side(check_codes(array, n_bits), None)
    return Side(pack(array), array)


def as_items(codes: CodeArray) -> NDArray[Any]:
    """View each code as one item, so that `numpy.unique` sorts whole codes."""
    codes = np.ascontiguousarray(codes)
    width = codes.shape[1]
    return codes.view(f"u{width}" if width in (1, 2, 4, 8) else f"V{width}").ravel()


def _chunks(n: int) -> list[slice]:
    return [slice(i, i + _CHUNK) for i in range(0, n, _CHUNK)]
