"""The asymmetric score of a real query and a code, exactly and the same however it is asked for.

score(q, b) = sum_i q_i s_i, with s_i = +1 where bit i of b is set and -1 elsewhere. The q_i are
rounded to multiples of a step so small (2^-50 of their sum) that every sum of them is exact in
float64, whatever its order. So items of equal codes have equal scores in every batch and by every
way of adding, and ties can be broken by the order of the items.
"""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray

#: Signs of the 8 bits (MSB first) of each byte.
_SIGNS: Final = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * 2.0 - 1.0
#: Every sum of a row's entries stays below so many bits, and is exact.
_BITS: Final = 50
#: Candidates of a query that are scored without tables.
_MOST_UNPACKED: Final = 256


def exact_rows(rows: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    """Return rows as they are scored: rounded, and with zeros for the bits that fill the last byte.

    Parameters
    ----------
    rows : ndarray of shape (nq, n_bits), float32
    width : int
        Bytes a code.

    Returns
    -------
    ndarray of shape (nq, 8 width), float64
    """
    padded = np.zeros((len(rows), 8 * width))
    padded[:, : rows.shape[1]] = rows
    total = np.maximum(np.add.reduce(np.abs(padded), axis=1, keepdims=True), 1e-300)
    step = np.exp2(np.ceil(np.log2(total)) - _BITS)
    exact: NDArray[np.float64] = np.rint(padded / step) * step
    return exact


def byte_tables(rows: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    """Contribution of every value of every byte of a code to the score of each query.

    Parameters
    ----------
    rows : ndarray of shape (nq, n_bits), float32
    width : int
        Bytes a code.

    Returns
    -------
    ndarray of shape (nq, width, 256), float64
    """
    return _tables(exact_rows(rows, width))


def _tables(exact: NDArray[np.float64]) -> NDArray[np.float64]:
    tables: NDArray[np.float64] = np.matmul(exact.reshape(-1, 8), _SIGNS.T)
    return tables.reshape(len(exact), -1, 256)


class SignSums:
    """The scores of some queries with any codes.

    Parameters
    ----------
    rows : ndarray of shape (nq, n_bits), float32
    width : int
        Bytes a code.
    """

    def __init__(self, rows: NDArray[np.float32], width: int) -> None:
        self._exact = exact_rows(rows, width)
        self._tables: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self._exact)

    @property
    def width(self) -> int:
        """Bytes a code."""
        width: int = self._exact.shape[1] // 8
        return width

    @property
    def tables(self) -> NDArray[np.float64]:
        """What `byte_tables` returns; made when it is first worth it."""
        if self._tables is None:
            self._tables = _tables(self._exact)
        return self._tables

    def take(self, numbers: Any) -> Self:
        """Return those of some queries: by a slice or an array of numbers."""
        some = type(self).__new__(type(self))
        some._exact = self._exact[numbers]
        some._tables = None if self._tables is None else self._tables[numbers]
        return some

    def of_each(self, codes: CodeArray) -> NDArray[np.float64]:
        """Scores of each query with its own candidates: codes (nq, c, width) -> (nq, c)."""
        if len(self) > 1 or self._tables is not None or codes.shape[1] > _MOST_UNPACKED:
            return scores_of_each(self.tables, codes)
        # To unpack a few codes costs less than to look up what all bytes would add.
        exact = self._exact[0]
        sums = np.unpackbits(codes[0], axis=1).astype(np.float64) @ exact
        sums *= 2
        sums -= np.add.reduce(exact)
        scores: NDArray[np.float64] = sums[None]
        return scores

    def of_all(self, codes: CodeArray) -> NDArray[np.float64]:
        """Scores of each query with the same candidates: codes (c, width) -> (nq, c)."""
        return scores_of_all(self.tables, codes)


def scores_of_each(tables: NDArray[np.float64], codes: CodeArray) -> NDArray[np.float64]:
    """Scores of each query with its own candidates: codes (nq, c, width) -> (nq, c)."""
    n_queries, width, _ = tables.shape
    starts = (256 * np.arange(n_queries * width)).reshape(n_queries, 1, width)
    scores: NDArray[np.float64] = tables.reshape(-1).take(starts + codes).sum(axis=2)
    return scores


def scores_of_all(tables: NDArray[np.float64], codes: CodeArray) -> NDArray[np.float64]:
    """Scores of each query with the same candidates: codes (c, width) -> (nq, c)."""
    total = tables[:, 0].take(codes[:, 0], axis=1)
    for byte in range(1, codes.shape[1]):
        total += tables[:, byte].take(codes[:, byte], axis=1)
    return total


def asymmetric_scores(row: NDArray[np.float32], codes: CodeArray) -> NDArray[np.float32]:
    """Inner product of a rotated row (n_bits,) with codes (c, width) as signs {-1, +1}."""
    found = scores_of_all(byte_tables(row[None], codes.shape[1]), codes)[0]
    scores: NDArray[np.float32] = found.astype(np.float32)
    return scores
