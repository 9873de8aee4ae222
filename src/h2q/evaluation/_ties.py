"""Groups of tied items, best first: all that the expected value of a metric over ties needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from h2q._typing import Array
from h2q.evaluation._backend import NUMPY, SIMILARITY_BITS, Backend


@dataclass(frozen=True, eq=False)
class TieGroups:
    """What a block of queries retrieves, in groups of items with equal scores.

    Attributes
    ----------
    n_queries : int
        Number of queries, b.
    rows : array of int64, shape (g,)
        Query of each group, ascending; the groups of a query are in rank order.
    totals, relevant : array of int64, shape (g,)
        Items, and relevant items, in each group. A group may be empty.
    backend : Backend
        Of the arrays.
    """

    n_queries: int
    rows: Array
    totals: Array
    relevant: Array
    backend: Backend = NUMPY

    @cached_property
    def before(self) -> Array:
        """Items ranked above each group."""
        return self._exclusive_sum(self.totals)

    @cached_property
    def relevant_before(self) -> Array:
        """Relevant items ranked above each group."""
        return self._exclusive_sum(self.relevant)

    def expected_relevant(self, cuts: Array) -> Array:
        """Return the expected number of relevant items among the first of each query.

        Parameters
        ----------
        cuts : array of int64, shape (c,) or (b, c)
            Cut-offs, the same for all queries or one row a query; at most as many as the groups
            hold.

        Returns
        -------
        array of float64, shape (b, c)
        """
        # Within a group of ties every position is relevant with the same probability, so the
        # expectation is linear there; all queries are interpolated on one common axis.
        backend, xp = self.backend, self.backend.xp
        ends, found = backend.cumsum(self.totals), backend.cumsum(self.relevant)
        first = self._first()
        start = (ends - self.totals)[first][:, None]
        offset = (found - self.relevant)[first][:, None]
        cuts = backend.asarray(cuts)
        at = start + xp.broadcast_to(cuts, (self.n_queries, cuts.shape[-1]))
        zero = ends[:1] * 0
        axis, values = xp.concat([zero, ends]), xp.concat([zero, found])
        return backend.interp(at, axis, values) - offset

    def _first(self) -> Array:
        return self.backend.searchsorted(self.rows, self.backend.arange(self.n_queries))

    def _exclusive_sum(self, values: Array) -> Array:
        sums = self.backend.cumsum(values) - values
        return sums - sums[self._first()][self.rows]


def groups_by_distance(
    distances: Array, relevant: Array, n_bits: int, backend: Backend = NUMPY
) -> TieGroups:
    """Group by Hamming distance: n_bits + 1 groups a query, empty ones included.

    Parameters
    ----------
    distances : array of int, shape (b, n)
        Hamming distances, 0 to n_bits.
    relevant : array of bool, shape (b, n)
    n_bits : int
    backend : Backend
    """
    width = n_bits + 1
    counts = backend.count_by_distance(distances, relevant, width)
    return TieGroups(
        n_queries=len(distances),
        rows=backend.repeat(backend.arange(len(distances)), width),
        totals=counts[:, 0] + counts[:, 1],
        relevant=counts[:, 1],
        backend=backend,
    )


def add_distances(keys: Array, distances: Array, backend: Backend = NUMPY) -> Array:
    """Rank by Hamming distance first, and by `keys` among the items at the same distance."""
    combined = backend.xp.astype(distances, backend.xp.int64)
    combined <<= SIMILARITY_BITS
    combined += keys
    return combined


def groups_by_key(keys: Array, relevant: Array, top: int, backend: Backend = NUMPY) -> TieGroups:
    """Group by equal keys: the groups that the best `top` items of each query fall into.

    Parameters
    ----------
    keys : array of int64, shape (b, n)
        From `Backend.sort_keys`; overwritten.
    relevant : array of bool, shape (b, n)
    top : int
        At least this many items are covered; the last group is complete, so it may cover more.
    backend : Backend
    """
    return TieGroups(len(keys), *backend.best_groups(keys, relevant, top), backend=backend)
