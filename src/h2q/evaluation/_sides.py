"""The two sides of a retrieval, query and database: real rows, packed codes, or both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from h2q._numbers import whole_number
from h2q._typing import Array, CodeArray
from h2q.errors import InvalidInputError
from h2q.evaluation._backend import NUMPY, Backend
from h2q.ranks.records import whole_rows

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
    codes : array of uint8, shape (n, ceil(n_bits / 8))
        Packed codes.
    rows : array, shape (n, n_bits), or None
        The real rows the codes were made from, if they were given.
    backend : Backend
        Of the arrays.
    given : array, shape (n, d), or None
        The rows before a quantizer rotated them; `rows` where there is none.
    whole : array, shape (n, n_bits), or None
        The rows that whole rows are compared by: `rows`, but uncentred where a quantizer centres.
    """

    codes: CodeArray
    rows: Array | None
    backend: Backend = NUMPY
    given: Array | None = None
    whole: Array | None = None

    def __len__(self) -> int:
        return len(self.codes)

    @cached_property
    def unit(self) -> UnitRows:
        """The real rows at length 1, made when a ranking first needs them."""
        if self.rows is None:
            raise ValueError("there are codes only")
        return UnitRows(self.rows, backend=self.backend)

    @cached_property
    def unit_whole(self) -> UnitRows:
        """The rows that are compared whole, at length 1."""
        if self.whole is None or self.whole is self.rows:
            return self.unit
        return UnitRows(self.whole, backend=self.backend)


class UnitRows:
    """Rows scaled to length 1, for cosine similarities in float64. Zero rows stay zero.

    Parameters
    ----------
    rows : array, shape (n, k)
    length : float, optional
        What length 1 stands for, the same for all rows; by default each row's own length.
    backend : Backend
        Of the rows.
    """

    def __init__(self, rows: Array, length: float | None = None, backend: Backend = NUMPY) -> None:
        xp = backend.xp
        if length is None:
            norms = xp.concat([backend.norms(rows[s]) for s in _chunks(len(rows))])
        else:
            norms = backend.empty((len(rows),))
            norms[:] = length
        has_length = norms > 0
        scale = xp.where(has_length, 1.0 / xp.where(has_length, norms, 1.0), 0.0)
        self._backend, self._scale = backend, scale[:, None]
        self._scaled = int(np.prod(rows.shape)) <= _KEEP
        self._rows = rows * self._scale if self._scaled else rows

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: slice) -> Array:
        """Return the unit rows of a slice, float64."""
        xp = self._backend.xp
        part = xp.astype(self._rows[rows], xp.float64, copy=False)
        return part if self._scaled else part * self._scale[rows]

    def similarities(self, query: Array) -> Array:
        """Return the inner products of `query` (b, d) with every row, shape (b, n)."""
        if self._scaled:
            return query @ self._rows.T
        out = self._backend.empty((len(query), len(self)))
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
    codes : array of uint8, shape (n, ceil(n_bits / 8))
    n_bits : int
    decoder : Decoder, optional
        Gives what a code stands for, instead of its signs. It decodes numpy codes, once.
    backend : Backend
        Of the codes.
    """

    def __init__(
        self,
        codes: CodeArray,
        n_bits: int,
        decoder: Decoder | None = None,
        backend: Backend = NUMPY,
    ) -> None:
        distinct, inverse, _ = backend.unique_codes(codes)
        self._inverse = inverse if len(distinct) < len(codes) else None
        packed = codes if self._inverse is None else distinct
        if decoder is None:
            self._rows = UnitRows(backend.signs(packed, n_bits), backend=backend)
        else:  # how long a decoded row is says how sure it is
            decoded = backend.asarray(decoder.decode(backend.to_numpy(packed)))
            self._rows = UnitRows(decoded, n_bits**0.5, backend)

    def similarities(self, query: Array) -> Array:
        """Return the products of real unit `query` rows and what the codes stand for, (b, n)."""
        scores = self._rows.similarities(query)
        return scores if self._inverse is None else scores[:, self._inverse]


def prepare(
    query: Array,
    database: Array,
    n_bits: int | None,
    backend: Backend = NUMPY,
    quantizer: Any = None,
) -> tuple[Side, Side, int]:
    """Check the two sides and pack their codes.

    Parameters
    ----------
    query, database : array, shape (nq, k) and (n, k), or (.., ceil(n_bits / 8)) of uint8
        Real rows (their signs are the codes), or packed codes, which need `n_bits`.
    n_bits : int or None
        Length of the codes; k where a side is real.
    backend : Backend
        Where the two sides are brought.
    quantizer : fitted quantizer, optional
        Rotates and codes the real rows, which are then as they were before it, (n, d).

    Returns
    -------
    query, database : Side
    n_bits : int

    Raises
    ------
    InvalidInputError
        For empty sides, NaN or infinite rows, or sides of different lengths.
    """
    xp = backend.xp
    if n_bits is not None:
        n_bits = whole_number(n_bits, "n_bits", most=_MAX_BITS)
    arrays = {"query": backend.asarray(query), "database": backend.asarray(database)}
    for name, array in arrays.items():
        shape = tuple(array.shape)
        if (
            array.ndim != 2
            or 0 in shape
            or not xp.isdtype(array.dtype, ("bool", "integral", "real floating"))
        ):
            raise InvalidInputError(
                f"{name}: expected real rows (n, k) or packed uint8 codes, "
                f"got {array.dtype} of shape {shape}"
            )
        if array.dtype == xp.uint8:
            continue
        if n_bits is None:
            n_bits = shape[1] if quantizer is None else int(quantizer.n_bits_)
        if quantizer is None and shape[1] != n_bits:
            raise InvalidInputError(f"{name} has {shape[1]} columns, expected {n_bits}")
        if xp.isdtype(array.dtype, "real floating") and not all(
            bool(xp.all(xp.isfinite(array[s]))) for s in _chunks(len(array))
        ):
            raise InvalidInputError(f"{name} has rows with NaN or infinity; remove or repair them")
    if n_bits is None:
        raise InvalidInputError("packed codes on both sides need n_bits, the length of a code")
    if n_bits > _MAX_BITS:
        raise InvalidInputError(f"codes of {n_bits} bits are longer than {_MAX_BITS}")
    if quantizer is not None and quantizer.n_bits_ != n_bits:
        raise InvalidInputError(
            f"the quantizer makes codes of {quantizer.n_bits_} bits, n_bits is {n_bits}"
        )
    query_side, database_side = (
        _side(array, n_bits, backend, quantizer) for array in arrays.values()
    )
    return query_side, database_side, n_bits


def _side(array: Array, n_bits: int, backend: Backend, quantizer: Any) -> Side:
    if array.dtype == backend.xp.uint8:
        return Side(backend.check_codes(array, n_bits), None, backend)
    if quantizer is None:
        return Side(backend.pack(array), array, backend, array, array)
    codes, rows = (backend.asarray(made(array)) for made in (quantizer.transform, quantizer.rotate))
    whole = whole_rows(array, rows, quantizer)
    return Side(codes, rows, backend, array, whole if whole is rows else backend.asarray(whole))


def _chunks(n: int) -> list[slice]:
    return [slice(i, i + _CHUNK) for i in range(0, n, _CHUNK)]
