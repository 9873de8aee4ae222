"""faiss's FastScan over our codes: approximate asymmetric scores, with a bound on their error.

`IndexPQFastScan` scans product-quantizer codes of 4 bits with tables held in SIMD registers. A
binary code is such a code: its sub-quantizers are groups of 4 bits and its codebook the 16 sign
patterns, so the very bytes of the code are scanned against the real query. The tables are rounded
to 8 bits, which bounds the error of a score.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray

#: The sign pattern of each half byte, MSB first.
_PATTERNS: Final = (
    np.unpackbits(np.arange(16, dtype=np.uint8)[:, None], axis=1)[:, 4:].astype(np.float32) * 2 - 1
)


#: Codes of a block that is scanned at once. faiss's own 32 is slower on every processor tried: by
#: 15 to 20 % where queries come in batches, and, from blocks of 128 on, where they come alone.
_BLOCK: Final = 128
#: Codes of more bytes than this gain more from the tables of two queries in the registers.
_LONG: Final = 16
_BLOCK_OF_LONG: Final = 64
#: Of an inverted file: cells are filled up to whole blocks.
_BLOCK_OF_CELLS: Final = 32
#: A longer shortlist takes so long that the price of a call does not matter.
_LONGEST_ON_DESK: Final = 4096
#: Codes put into an inverted file at a time.
_AT_ONCE: Final = 1 << 18

#: Its type stubs do not know the constructors that take another index.
_fast_scan_of: Final[Any] = faiss.IndexPQFastScan
_cell_scan_of: Final[Any] = faiss.IndexIVFPQFastScan


class SignScan:
    """A `FastScan` for the rank "asymmetric" (`h2q.ranks.spec.Scan`)."""

    def __init__(self, codes: CodeArray) -> None:
        self._scan = FastScan(codes)

    def __len__(self) -> int:
        return len(self._scan)

    def search(self, asked: Any, shortlist: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Positions of a shortlist for each of `SignQueries`, and a bound on what it leaves out."""
        return self._scan.search(asked.rows, shortlist)


class FastScan:
    """An immutable index of codes.

    Parameters
    ----------
    codes : ndarray of shape (n, width), uint8
        Copied into faiss's blocked layout: as many bytes again.
    """

    def __init__(self, codes: CodeArray) -> None:
        self._size, self._width = len(codes), codes.shape[1]
        halves = 2 * self._width
        plain = faiss.IndexPQ(4 * halves, halves, 4, faiss.METRIC_INNER_PRODUCT)
        faiss.copy_array_to_vector(np.tile(_PATTERNS, (halves, 1)).ravel(), plain.pq.centroids)
        plain.is_trained = True
        faiss.copy_array_to_vector(codes.ravel(), plain.codes)
        plain.ntotal = len(codes)
        self._index = _fast_scan_of(plain, _BLOCK if self._width <= _LONG else _BLOCK_OF_LONG)
        self._desks = threading.local()

    def __len__(self) -> int:
        return self._size

    def search(
        self, rows: NDArray[np.float32], shortlist: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Positions of a shortlist for each query, and a bound on what it leaves out.

        Parameters
        ----------
        rows : ndarray of shape (nq, n_bits), float32
        shortlist : int
            At most `len(self)`.

        Returns
        -------
        positions : ndarray of shape (nq, shortlist), int64
        bound : ndarray of shape (nq,), float64
            No item outside the shortlist has a higher exact score.
        """
        groups, scale = self._groups(rows)
        if len(rows) == 1 and shortlist <= _LONGEST_ON_DESK:
            approximate, positions = self._desk().search(_in_faiss_order(groups), shortlist)
        else:
            approximate, positions = self._index.search(_in_faiss_order(groups), shortlist)
        if shortlist >= self._size:
            return positions, np.full(len(rows), -np.inf)
        bound = approximate[:, -1].astype(np.float64) + _table_error(groups)
        return positions, bound * scale[:, 0]

    def best(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return about the highest score of each query."""
        groups, scale = self._groups(rows)
        approximate, _ = self._index.search(_in_faiss_order(groups), 1)
        highest: NDArray[np.float64] = approximate[:, 0] * scale[:, 0]
        return highest

    def _desk(self) -> _Desk:
        desk: _Desk | None = getattr(self._desks, "own", None)
        if desk is None:
            desk = self._desks.own = _Desk(self._index, 8 * self._width)
        return desk

    def _groups(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return the rows scaled to at most 1, (nq, width, 2, 4), and the scales, (nq, 1)."""
        scale = np.abs(rows).max(axis=1, keepdims=True).astype(np.float64)
        groups = np.zeros((len(rows), self._width, 2, 4), dtype=np.float32)
        groups.reshape(len(rows), -1)[:, : rows.shape[1]] = rows / scale
        return groups, scale


class _Desk:
    """Where one thread asks one query of an index: arrays whose addresses faiss knows already.

    Every call of faiss, be it for the address of an array, lets go of Python's lock; of half a
    dozen in each search two threads lose what they gain. Here the search itself is the only one.
    """

    def __init__(self, index: Any, n_columns: int) -> None:
        self._index = index
        self._row = np.empty((1, n_columns), dtype=np.float32)
        self._row_at = faiss.swig_ptr(self._row)
        self._lay_out(0)

    def _lay_out(self, shortlist: int) -> None:
        self._shortlist = shortlist
        self._scores = np.empty((1, shortlist), dtype=np.float32)
        self._positions = np.empty((1, shortlist), dtype=np.int64)
        self._scores_at = faiss.swig_ptr(self._scores)
        self._positions_at = faiss.swig_ptr(self._positions)

    def search(
        self, row: NDArray[np.float32], shortlist: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the scores and positions, (1, shortlist), for a row (1, n_columns)."""
        if shortlist != self._shortlist:
            self._lay_out(shortlist)
        self._row[:] = row
        self._index.search_c(1, self._row_at, shortlist, self._scores_at, self._positions_at)
        return self._scores.copy(), self._positions.copy()


class CellScan:
    """An immutable inverted file of codes: `FastScan` inside of cells.

    Parameters
    ----------
    codes : ndarray of shape (n, width), uint8
        Copied.
    cells : ndarray of shape (n,), integer
        The cell of each.
    n_cells : int
    """

    def __init__(self, codes: CodeArray, cells: NDArray[Any], n_cells: int) -> None:
        self._width = codes.shape[1]
        halves = 2 * self._width
        # The centroids are the caller's business: faiss is told which cells to scan.
        nowhere, kind = faiss.IndexFlatIP(4 * halves), faiss.METRIC_INNER_PRODUCT
        plain: Any = faiss.IndexIVFPQ(nowhere, 4 * halves, n_cells, halves, 4, kind)
        plain.by_residual = False
        faiss.copy_array_to_vector(np.tile(_PATTERNS, (halves, 1)).ravel(), plain.pq.centroids)
        plain.is_trained = True
        number = cells.astype("<u4").view(np.uint8).reshape(-1, 4)[:, : plain.coarse_code_size()]
        for start in range(0, len(codes), _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, len(codes)))
            plain.add_sa_codes(
                np.concatenate([number[part], codes[part]], axis=1),
                np.arange(part.start, part.stop),
            )
        self._nowhere = nowhere
        self._index: Any = _cell_scan_of(plain, _BLOCK_OF_CELLS)

    def search(
        self, rows: NDArray[np.float32], cells: NDArray[np.int64], shortlist: int
    ) -> NDArray[np.int64]:
        """Return about the best codes of some cells: their numbers, -1 where there are fewer.

        Parameters
        ----------
        rows : ndarray of shape (nq, n_bits), float32
        cells : ndarray of shape (nq, m), int64
            As many in every call of one object.
        shortlist : int

        Returns
        -------
        ndarray of shape (nq, shortlist), int64
        """
        self._index.nprobe = cells.shape[1]
        groups = np.zeros((len(rows), self._width, 2, 4), dtype=np.float32)
        groups.reshape(len(rows), 8 * self._width)[:, : rows.shape[1]] = rows
        _, numbers = self._index.search_preassigned(_in_faiss_order(groups), shortlist, cells, None)
        found: NDArray[np.int64] = numbers
        return found


def _in_faiss_order(groups: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return groups as rows.

    faiss keeps the first sub-quantizer of a byte in its low half, we the first bits in its high
    half: exchange the groups of the query rather than those of every code.
    """
    return np.ascontiguousarray(groups[:, :, ::-1]).reshape(len(groups), -1)


def _table_error(groups: NDArray[np.float32]) -> NDArray[np.float64]:
    """Most by which a scanned score may be off.

    A table of a group g spans 2 sum |q_i|. faiss scales all tables of a query by one factor, so
    that the widest spans 255 steps and all together 65,535, and rounds each entry to a step.
    """
    spans = np.add.reduce(np.abs(groups), axis=3, dtype=np.float64).reshape(len(groups), -1)
    spans *= 2
    total = np.add.reduce(spans, axis=1)
    step = np.maximum(np.maximum.reduce(spans, axis=1) / 255, total / 65535)
    rounding = 0.5 * step * spans.shape[1]
    error: NDArray[np.float64] = 1.02 * rounding + 1e-5 * total  # float32 sums
    return error
