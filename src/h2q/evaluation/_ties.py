"""Groups of tied items, best first: all that the expected value of a metric over ties needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Similarities in [-1, 1] are compared on a grid of this step (6e-14): far finer than float32, and
#: coarse enough that equal items tie however the matrix product was blocked.
_GRID = 2.0**44
_SIMILARITY_BITS = 47
#: Sorts behind every key.
OUTSIDE = 1 << 61

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class TieGroups:
    """What a block of queries retrieves, in groups of items with equal scores.

    Attributes
    ----------
    n_queries : int
        Number of queries, b.
    rows : ndarray of int64, shape (g,)
        Query of each group, ascending; the groups of a query are in rank order.
    totals, relevant : ndarray of int64, shape (g,)
        Items, and relevant items, in each group. A group may be empty.
    """

    n_queries: int
    rows: Ints
    totals: Ints
    relevant: Ints

    @cached_property
    def before(self) -> Ints:
        """Items ranked above each group."""
        return self._exclusive_sum(self.totals)

    @cached_property
    def relevant_before(self) -> Ints:
        """Relevant items ranked above each group."""
        return self._exclusive_sum(self.relevant)

    def expected_relevant(self, cuts: Ints) -> NDArray[np.float64]:
        """Return the expected number of relevant items among the first of each query.

        Parameters
        ----------
        cuts : ndarray of int64, shape (c,) or (b, c)
            Cut-offs, the same for all queries or one row a query; at most as many as the groups
            hold.

        Returns
        -------
        ndarray of float64, shape (b, c)
        """
        # Within a group of ties every position is relevant with the same probability, so the
        # expectation is linear there; all queries are interpolated on one common axis.
        ends = np.cumsum(self.totals)
        found = np.cumsum(self.relevant)
        first = self._first()
        start = (ends - self.totals)[first][:, None]
        offset = (found - self.relevant)[first][:, None]
        at = start + np.broadcast_to(cuts, (self.n_queries, np.shape(cuts)[-1]))
        axis = np.concatenate([[0], ends])
        return np.asarray(np.interp(at, axis, np.concatenate([[0], found])) - offset)

    def _first(self) -> NDArray[np.intp]:
        return np.searchsorted(self.rows, np.arange(self.n_queries))

    def _exclusive_sum(self, values: Ints) -> Ints:
        sums = np.cumsum(values) - values
        return sums - sums[self._first()][self.rows]


def groups_by_distance(
    distances: NDArray[np.integer[Any]], relevant: NDArray[np.bool_], n_bits: int
) -> TieGroups:
    """Group by Hamming distance: n_bits + 1 groups a query, empty ones included.

    Parameters
    ----------
    distances : ndarray of int, shape (b, n)
        Hamming distances, 0 to n_bits.
    relevant : ndarray of bool, shape (b, n)
    n_bits : int
    """
    b = len(distances)
    width = n_bits + 1
    # A counting sort: one bin a query, distance and relevance.
    bins = distances.astype(np.int64)
    bins <<= 1
    bins |= relevant
    bins += np.arange(b, dtype=np.int64)[:, None] * (2 * width)
    counts = np.bincount(bins.ravel(), minlength=2 * width * b).reshape(b * width, 2)
    return TieGroups(
        n_queries=b,
        rows=np.repeat(np.arange(b, dtype=np.int64), width),
        totals=counts.sum(axis=1),
        relevant=counts[:, 1],
    )


def sort_keys(similarities: NDArray[np.float64]) -> Ints:
    """Turn similarities into integers that sort best first.

    Parameters
    ----------
    similarities : ndarray of float64, shape (b, n)
        In [-1, 1], higher is better; overwritten.
    """
    np.subtract(1.0, similarities, out=similarities)
    similarities *= _GRID
    np.rint(similarities, out=similarities)
    np.maximum(similarities, 0.0, out=similarities)
    return similarities.astype(np.int64)


def add_distances(keys: Ints, distances: NDArray[np.integer[Any]]) -> Ints:
    """Rank by Hamming distance first, and by `keys` among the items at the same distance."""
    combined = distances.astype(np.int64)
    combined <<= _SIMILARITY_BITS
    combined += keys
    return combined


def groups_by_key(keys: Ints, relevant: NDArray[np.bool_], top: int) -> TieGroups:
    """Group by equal keys: the groups that the best `top` items of each query fall into.

    Parameters
    ----------
    keys : ndarray of int64, shape (b, n)
        From `sort_keys`; overwritten.
    relevant : ndarray of bool, shape (b, n)
    top : int
        At least this many items are covered; the last group is complete, so it may cover more.
    """
    b, n = keys.shape
    keys <<= 1
    keys |= relevant  # the relevance travels in the lowest bit, so one plain sort does it all
    if top < n:
        keys.partition(top - 1, axis=1)
    head = np.sort(keys[:, :top], axis=1)
    scores = head >> 1
    last = np.ones((b, top), dtype=np.bool_)
    np.not_equal(scores[:, 1:], scores[:, :-1], out=last[:, :-1])
    ends = np.flatnonzero(last)
    rows = ends // top
    totals = np.diff(ends, prepend=-1)
    found = np.diff(np.cumsum(head & 1)[ends], prepend=0)
    if top < n:  # the last group may reach beyond `top`: count the whole of it
        final = np.searchsorted(rows, np.arange(b), side="right") - 1
        best = (scores[:, -1:] << 1) | 1
        found[final] = np.count_nonzero(keys == best, axis=1)
        totals[final] = found[final] + np.count_nonzero(keys == best - 1, axis=1)
    return TieGroups(b, rows, totals, found)
