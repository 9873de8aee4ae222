"""Pairs of near-duplicates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from h2q._progress import OnProgress, no_progress
from h2q._typing import Array
from h2q.duplicates.distinct import DistinctCodes
from h2q.duplicates.join import CodePairs, close_pairs
from h2q.errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class NearPairs:
    """All pairs within the radius, those of equal codes kept together.

    Attributes
    ----------
    distinct : DistinctCodes
        Rows of equal codes. They are pairs at distance 0, not listed one by one.
    left, right : ndarray of shape (m,), int64
        Pairs of different codes, each by its first row, sorted; ``left < right``.
    distances : ndarray of shape (m,), int64
        In bits, 1 to the radius.
    """

    distinct: DistinctCodes
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    distances: NDArray[np.int64]

    def rows(self) -> Iterator[tuple[int, int, int]]:
        """Yield every pair of rows as (row, later row, distance), the nearest first.

        Equal codes are many pairs: n rows of one code give n (n - 1) / 2. Nothing is held in
        memory for them, so stop where you have seen enough (`itertools.islice`).
        """
        of_row = {int(row): code for code, row in enumerate(self.distinct.first_rows)}
        by_first = np.argsort(self.distinct.first_rows)
        for code in by_first[self.distinct.counts[by_first] > 1]:
            members = self.distinct.rows_of(int(code)).tolist()
            for place, row in enumerate(members):
                for other in members[place + 1 :]:
                    yield row, other, 0
        for pair in np.lexsort((self.right, self.left, self.distances)):
            ours = self.distinct.rows_of(of_row[int(self.left[pair])]).tolist()
            theirs = self.distinct.rows_of(of_row[int(self.right[pair])]).tolist()
            for a in ours:
                for b in theirs:
                    yield min(a, b), max(a, b), int(self.distances[pair])


def near_pairs(
    codes: Array,
    n_bits: int,
    radius: int,
    *,
    on_progress: OnProgress = no_progress,
) -> NearPairs:
    """Find all pairs of codes at a Hamming distance of at most `radius`, exactly.

    The time grows nearly as n log n while the pairs found are few. The result takes memory for
    each pair of different codes; `find_groups` does not.

    Parameters
    ----------
    codes : array of shape (n, ceil(n_bits / 8)), uint8
        Packed codes (`h2q.codes.pack`).
    n_bits : int
    radius : int
        In bits, inclusive.
    on_progress : callable
        Told how much of how much is done.

    Returns
    -------
    NearPairs

    Raises
    ------
    InvalidInputError
        If the codes are not of `n_bits` bits, or the radius is negative.

    Examples
    --------
    >>> import numpy as np
    >>> found = near_pairs(np.array([[0b1111], [0], [0b0111], [0]], np.uint8), 8, 1)
    >>> list(found.rows())
    [(1, 3, 0), (0, 2, 1)]
    """
    check_radius(radius)
    distinct = DistinctCodes.of(codes, n_bits)
    found = list(close_pairs(distinct.words, n_bits, radius, on_progress))
    if not found:
        none = np.empty(0, dtype=np.int64)
        return NearPairs(distinct, none, none.copy(), none.copy())
    pairs = CodePairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
    first = distinct.first_rows
    a, b = first[pairs.left], first[pairs.right]
    left, right = np.minimum(a, b), np.maximum(a, b)
    order = np.lexsort((right, left))
    return NearPairs(distinct, left[order], right[order], pairs.distance[order])


def check_radius(radius: int) -> None:
    """Reject a radius that is no number of bits."""
    if isinstance(radius, bool) or not isinstance(radius, int | np.integer) or radius < 0:
        raise InvalidInputError(f"the radius is a number of bits, 0 or more, got {radius!r}")
