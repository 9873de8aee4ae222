"""Codes that occur several times, brought together first: they are never compared in pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.codes import check_codes


@dataclass(frozen=True, eq=False)
class DistinctCodes:
    """The different codes among n, and the rows that have each.

    Attributes
    ----------
    words : ndarray of shape (u, ceil(n_bits / 64)), uint64
        The codes, sorted. Only XOR and AND are ever taken of them, so the order of the bytes in a
        word does not matter.
    rows : ndarray of shape (n,), int64
        Row numbers, code by code, ascending within a code.
    starts : ndarray of shape (u + 1,), int64
        Code i is that of ``rows[starts[i]:starts[i + 1]]``.
    """

    words: NDArray[np.uint64]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.words)

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many rows have each code."""
        return np.diff(self.starts)

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """The first row of each code."""
        return self.rows[self.starts[:-1]]

    def rows_of(self, code: int) -> NDArray[np.int64]:
        """Rows that have a code, ascending."""
        return self.rows[self.starts[code] : self.starts[code + 1]]

    @classmethod
    def of(cls, codes: Array, n_bits: int) -> DistinctCodes:
        """Sort codes and find those that are equal.

        Parameters
        ----------
        codes : array of shape (n, ceil(n_bits / 8)), uint8
        n_bits : int

        Raises
        ------
        InvalidInputError
            If they are not codes of `n_bits` bits.
        """
        words = as_words(check_codes(codes, n_bits))
        # lexsort is stable, so the rows of a code stay ascending.
        order = np.lexsort(words.T[::-1])
        words = words[order]
        begins = np.ones(len(words), dtype=bool)
        begins[1:] = np.any(words[1:] != words[:-1], axis=1)
        starts = np.append(np.flatnonzero(begins), len(words))
        return cls(words[begins], order, starts)


def as_words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """View packed codes as words of 64 bits, (n, ceil(width / 8)), filled up with zeros."""
    if packed.shape[1] % 8:
        packed = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return np.ascontiguousarray(packed).view(np.uint64)


def distances(a: NDArray[np.uint64], b: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Hamming distance of codes given as words, row by row."""
    total: NDArray[np.int64] = np.bitwise_count(a[:, 0] ^ b[:, 0]).astype(np.int64)
    for word in range(1, a.shape[1]):
        total += np.bitwise_count(a[:, word] ^ b[:, word])
    return total
