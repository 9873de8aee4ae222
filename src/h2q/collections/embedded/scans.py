"""Exact scans of a table: by Hamming distance, by radius, and by the scores of a rank.

A rank's scan is approximate (`h2q.ranks.Scan`). Its shortlist is re-scored exactly: if the k-th
best exact score exceeds everything the scan may have left out (its bound), the answer is the exact
one; otherwise the query is asked again with a longer shortlist (of the distinct codes, where they
repeat), and at last scored against every code. So the result is always that of a full exact scan,
ties and removed items included, at the cost of the approximate one.

faiss keeps equal distances in the order of the scan, the older item first; the tests hold it to
that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.embedded.table import CodeTable
from h2q.ranks import Queries, Scan, Scorer
from h2q.ranks.spec import Prepared

#: Queries a thread must have to be worth starting.
_LEAST_SHARE: Final = 16
#: Codes scored exactly without a scan: fewer than this, or than this share of those in it.
_LEAST_SCANNED: Final = 4096
_TAIL_SHARE: Final = 1 / 256
#: Scores computed at a time: the temporary arrays stay within some 100 MB.
_BLOCK_SCORES: Final = 1 << 22
#: Candidates of which it is worth finding the k-th before they are sorted.
_LEAST_PARTITIONED: Final = 1024
#: A shortlist that must exceed this share of the codes is dearer than scoring them all.
_LONGEST_SHARE: Final = 1 / 16
#: Distinct codes must be at most this share of all to be worth scoring instead of them.
_WORTHWHILE_SHARE: Final = 1 / 4
#: Distances up to which numpy sorts by radix.
_MOST_IN_16_BITS: Final = 65_535
#: Its type stubs do not know this function.
_range_search: Final[Any] = vars(faiss)["hamming_range_search"]


class Hits(NamedTuple):
    """What one query found, best first.

    `positions` are those of a table (int64); `values` are Hamming distances (int32) or scores
    (float32).
    """

    positions: NDArray[np.int64]
    values: NDArray[Any]


def in_threads(search: Callable[[slice], list[Hits]], n_queries: int) -> list[Hits]:
    """Run `search` on slices of the queries, in a few threads of one OpenMP thread each.

    OpenMP's own threads wait for each other by spinning, which loses time on busy cores. As many
    threads are used as OpenMP would use, so `OMP_NUM_THREADS` limits them; a single query has one.
    """
    threads = min(faiss.omp_get_max_threads(), n_queries // _LEAST_SHARE)
    if threads <= 1:
        with _one_openmp_thread():
            return search(slice(0, n_queries))
    bounds = np.linspace(0, n_queries, threads + 1).astype(int).tolist()
    shares = [slice(start, stop) for start, stop in pairwise(bounds)]

    def run(share: slice) -> list[Hits]:
        with _one_openmp_thread():
            return search(share)

    with ThreadPoolExecutor(threads) as pool:
        return [hits for part in pool.map(run, shares) for hits in part]


@contextmanager
def _one_openmp_thread() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    if before == 1:
        yield
        return
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


# By Hamming distance


def nearest(table: CodeTable, queries: CodeArray, k: int) -> list[Hits]:
    """Return the `k` nearest items of each query, or all where there are fewer."""
    k = min(k, len(table))
    if k == 0:
        return [Hits(np.empty(0, np.int64), np.empty(0, np.int32)) for _ in queries]
    return in_threads(lambda share: _nearest(table, queries[share], k), len(queries))


def _nearest(table: CodeTable, queries: CodeArray, k: int) -> list[Hits]:
    if not table.dead:
        found = zip(*faiss.knn_hamming(queries, table.codes, k), strict=True)
        return [Hits(positions, distances) for distances, positions in found]
    size = len(table.codes)
    # Removed items are still scanned: fetch more, and more again where that was not enough.
    fetch = min(size, k + k // 4 + 16)
    hits: list[Hits | None] = [None] * len(queries)
    pending = np.arange(len(queries))
    while len(pending):
        distances, positions = faiss.knn_hamming(queries[pending], table.codes, fetch)
        alive = table.alive[positions]
        for query, distance, position, keep in zip(
            pending, distances, positions, alive, strict=True
        ):
            if np.count_nonzero(keep) >= k:
                hits[query] = Hits(position[keep][:k], distance[keep][:k])
        pending = np.array([query for query in pending if hits[query] is None], dtype=np.intp)
        fetch = min(size, fetch * 4)
    return [hit for hit in hits if hit is not None]


def within(table: CodeTable, queries: CodeArray, radius: int) -> list[Hits]:
    """Return all items at a distance of at most `radius` from each query, nearest first."""
    return in_threads(lambda share: _within(table, queries[share], radius), len(queries))


def _within(table: CodeTable, queries: CodeArray, radius: int) -> list[Hits]:
    if not len(table):
        return [Hits(np.empty(0, np.int64), np.empty(0, np.int32)) for _ in queries]
    result = faiss.RangeSearchResult(len(queries))
    _range_search(
        faiss.swig_ptr(queries),
        faiss.swig_ptr(table.codes),
        len(queries),
        len(table.codes),
        min(radius, 8 * table.width) + 1,  # faiss's radius is exclusive
        table.width,
        result,
    )
    bounds: NDArray[np.int64] = faiss.rev_swig_ptr(result.lims, len(queries) + 1).astype(np.int64)
    total = int(bounds[-1])
    positions = faiss.rev_swig_ptr(result.labels, total).astype(np.int64)  # copies, too
    distances = faiss.rev_swig_ptr(result.distances, total).astype(np.int32)
    hits = []
    for start, stop in pairwise(bounds):
        position, distance = positions[start:stop], distances[start:stop]
        if table.dead:
            alive = table.alive[position]
            position, distance = position[alive], distance[alive]
        # Found in the order of the scan; by 16 bits, where they do, numpy sorts by radix.
        narrow = distance.astype(np.uint16) if 8 * table.width <= _MOST_IN_16_BITS else distance
        order = np.argsort(narrow, kind="stable")
        hits.append(Hits(position[order], distance[order]))
    return hits


# By the scores of a rank


class _Covering:
    """A scan of the first codes of the tables of one lineage, and the distinct ones among them."""

    def __init__(self, table: CodeTable, scorer: Scorer) -> None:
        self.lineage = table.lineage
        self.facts = scorer.facts(table.codes)
        self.scan: Scan = scorer.index(table.codes, self.facts)
        self._codes, self._scorer = table.codes, scorer
        self._distinct: DistinctCodes | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.scan)

    @property
    def knows_distinct_codes(self) -> bool:
        """Whether the distinct codes were looked for."""
        return self._distinct is not None

    def distinct_codes(self) -> DistinctCodes:
        """Return the distinct codes; made when a shortlist has failed twice."""
        with self._lock:
            if self._distinct is None:
                self._distinct = DistinctCodes(self._codes, self._scorer)
            return self._distinct


class ProvenScan:
    """Searches tables by the scores of a rank, exactly; for any number of threads at once.

    A `Scan` covers the codes up to some position; the few after it are scored exactly. When they
    are many, one thread makes it anew while the others go on with the old one.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._covering: _Covering | None = None
        self._lock = threading.Lock()

    def nearest(self, table: CodeTable, queries: Queries, k: int) -> list[Hits]:
        """Return the `k` items of the highest score with each query, or all where there are fewer.

        Parameters
        ----------
        table : CodeTable
        queries : Queries
        k : int
        """
        k = min(k, len(table))
        if k == 0:
            return [
                Hits(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in range(len(queries))
            ]
        covering = self._covering_of(table)
        search = _Search(self._scorer, table, covering, k)
        if len(queries) == 1:  # faiss starts no thread for one
            return search.nearest(queries)
        return in_threads(lambda share: search.nearest(queries.take(share)), len(queries))

    def _covering_of(self, table: CodeTable) -> _Covering | None:
        size, current = len(table.codes), self._covering
        if current is not None and current.lineage is not table.lineage:
            current = None
        covered = 0 if current is None else len(current)
        if size - covered <= max(_LEAST_SCANNED, covered * _TAIL_SHARE):
            return current
        # Without any scan all wait for the first; with one they need not.
        if not self._lock.acquire(blocking=current is None):
            return current
        try:
            newest = self._covering
            if (
                newest is None
                or newest.lineage is not table.lineage
                or size - len(newest) > max(_LEAST_SCANNED, len(newest) * _TAIL_SHARE)
            ):
                newest = self._covering = _Covering(table, self._scorer)
            return newest
        finally:
            self._lock.release()


class _Search:
    """One search by a rank, of a table."""

    def __init__(
        self, scorer: Scorer, table: CodeTable, covering: _Covering | None, k: int
    ) -> None:
        self._scorer, self._table, self._covering, self._k = scorer, table, covering, k
        self._covered = 0 if covering is None else min(len(covering), len(table.codes))

    def nearest(self, queries: Queries) -> list[Hits]:
        hits: list[Hits] = []
        tail = len(self._table.codes) - self._covered
        shortlist = 3 * self._k + 64
        size = max(1, _BLOCK_SCORES // (tail + shortlist))
        for start in range(0, len(queries), size):
            asked = self._scorer.prepare(queries.take(slice(start, start + size)))
            hits += self._nearest_of_block(asked, shortlist)
        return hits

    def _nearest_of_block(self, asked: Prepared, shortlist: int) -> list[Hits]:
        if self._covering is None:
            return best_of(*self._scored_from(asked, 0), self._k)
        codes, scan, k = self._table.codes, self._covering.scan, self._k
        hits: dict[int, Hits] = {}
        pending, given, first = np.arange(len(asked)), asked, shortlist
        while len(pending) and shortlist <= max(len(scan) * _LONGEST_SHARE, _LEAST_SCANNED):
            positions, bounds = scan.search(given, min(shortlist, len(scan)))
            here = self._here(positions, len(scan))
            if here is not None:
                positions = np.where(here, positions, 0)
            facts = self._covering.facts
            facts = None if facts is None else facts[positions]
            scores = self._scorer.of_each(given, codes[positions], facts)
            if here is not None:
                scores[~here] = -np.inf
            if self._covered < len(codes):
                later, later_scores = self._scored_from(given, self._covered)
                positions = np.concatenate([positions, later], axis=1)
                scores = np.concatenate([scores, later_scores], axis=1)
            block = best_of(positions, scores, k)
            for query, hit, bound in zip(pending.tolist(), block, bounds, strict=True):
                if len(hit.values) == k and hit.values[-1] > bound:
                    hits[query] = hit
            if len(hits) == len(asked):
                break
            failed = [place for place, query in enumerate(pending.tolist()) if query not in hits]
            pending = pending[failed]
            # Once more, now that is known what scores to expect; then codes that repeat are scored
            # once each. To find out whether they do takes a sort of them all.
            twice = shortlist > first or self._covering.knows_distinct_codes
            if twice and self._covering.distinct_codes().worthwhile:
                break
            kth = [block[place].values[-1:] for place in failed]
            expected = np.array([each[0] if len(each) else -np.inf for each in kth], np.float32)
            given = given.take(failed).expecting(expected)
            shortlist *= 8 if twice else 2
        for query in range(len(asked)):
            if query not in hits:  # many ties, or k near the size of the collection
                hits[query] = self._among_all(asked.take(slice(query, query + 1)))
        return [hits[query] for query in range(len(asked))]

    def _here(self, positions: NDArray[np.int64], scanned: int) -> NDArray[np.bool_] | None:
        """Return which positions a scan found are of items in the table; None where all must be."""
        table = self._table
        inside = scanned <= len(table.codes) and not table.dead
        if inside and np.minimum.reduce(positions, axis=None, initial=0) >= 0:
            return None
        # A scan may be newer than the table: what lies behind that is not in it.
        here: NDArray[np.bool_] = (positions >= 0) & (positions < len(table.codes))
        if table.dead:
            here &= table.alive[np.where(here, positions, 0)]
        return here

    def _among_all(self, asked: Prepared) -> Hits:
        """Return the `k` best items of one query, without a shortlist."""
        distinct = None if self._covering is None else self._covering.distinct_codes()
        if distinct is None or not distinct.worthwhile:
            return best_of(*self._scored_from(asked, 0), self._k)[0]
        positions, scores = distinct.candidates(self._table, asked, self._k)
        later, later_scores = self._scored_from(asked, self._covered)
        positions = np.concatenate([positions, later[0]])
        scores = np.concatenate([scores, later_scores[0]])
        return best_of(positions[None], scores[None], self._k)[0]

    def _scored_from(
        self, asked: Prepared, start: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Score every code from position `start` on exactly: positions and scores, (nq, c)."""
        codes = self._table.codes[start:]
        scores = self._scorer.of_all(asked, codes, self._facts_from(start, codes))
        if self._table.dead:
            scores[:, ~self._table.alive[start:]] = -np.inf
        positions = np.arange(start, start + scores.shape[1], dtype=np.int64)
        return np.broadcast_to(positions, scores.shape), scores

    def _facts_from(self, start: int, codes: CodeArray) -> NDArray[Any] | None:
        """Return the facts of `codes`, which begin at a position, so far as they are known."""
        known = None if self._covering is None else self._covering.facts
        if known is None or start:
            return None
        later = self._scorer.facts(codes[self._covered :])
        return np.concatenate([known[: self._covered], *([] if later is None else [later])])


class DistinctCodes:
    """Codes that occur many times: scored once each, with who has each.

    Learned codes of few classes repeat: a million items may have some thousand codes. Then many
    items tie at the k-th score and no shortlist proves itself whole, but one of the distinct codes
    does.

    Parameters
    ----------
    codes : ndarray of shape (n, width), uint8
        The first codes of a table.
    scorer : Scorer
        Of the rank.
    """

    def __init__(self, codes: CodeArray, scorer: Scorer) -> None:
        self._scorer = scorer
        keys = np.ascontiguousarray(codes).view(f"V{codes.shape[1]}").ravel()
        if codes.shape[1] == 8:  # sorted some ten times faster than bytes
            keys = np.ascontiguousarray(codes).view(np.uint64).ravel()
        # Stable, so the positions of a code ascend: the oldest item first.
        self._positions = np.argsort(keys, kind="stable").astype(np.int64)
        ordered = keys[self._positions]
        begins = np.ones(len(codes), dtype=np.bool_)
        begins[1:] = ordered[1:] != ordered[:-1]
        self._starts = np.append(np.flatnonzero(begins), len(codes))
        self._codes = codes[self._positions[self._starts[:-1]]]
        self._facts: NDArray[Any] | None = None
        self._scan: Scan | None = None
        if self.worthwhile:
            self._facts = scorer.facts(self._codes)
            if len(self._codes) >= _LEAST_SCANNED:
                self._scan = scorer.index(self._codes, self._facts)

    @property
    def worthwhile(self) -> bool:
        """Whether codes repeat enough."""
        return len(self._codes) <= len(self._positions) * _WORTHWHILE_SHARE

    def candidates(
        self, table: CodeTable, asked: Prepared, k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Positions and scores of items among which the `k` best of one query are.

        Parameters
        ----------
        table : CodeTable
            Says which items are there.
        asked : Prepared
            The query, as the scorer prepared it.
        k : int

        Returns
        -------
        positions : ndarray of shape (c,), int64
            Items that are there; the `k` oldest of each code, and of all codes that score as high
            as the k-th best item.
        scores : ndarray of shape (c,), float32
        """
        shortlist = 2 * k + 64
        if self._scan is not None and shortlist <= len(self._codes) * _LONGEST_SHARE:
            near, bounds = self._scan.search(asked, shortlist)
            codes = near[0][near[0] >= 0]
            facts = None if self._facts is None else self._facts[codes][None]
            scores = self._scorer.of_each(asked, self._codes[codes][None], facts)[0]
            found = self._items(table, codes, scores, k)
            if len(found[1]) >= k and np.partition(-found[1], k - 1)[k - 1] < -bounds[0]:
                return found
        scores = self._scorer.of_all(asked, self._codes, self._facts)[0]
        return self._items(table, np.arange(len(scores)), scores, k)

    def _items(
        self, table: CodeTable, codes: NDArray[np.int64], scores: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Items of the codes of the highest scores, until there are `k` and no code ties."""
        found: list[NDArray[np.int64]] = []
        of_each: list[NDArray[np.float32]] = []
        count, last = 0, np.float32(-np.inf)
        for place in np.argsort(-scores, kind="stable").tolist():
            if count >= k and scores[place] < last:
                break
            positions = self._oldest(table, int(codes[place]), k)
            if len(positions):
                found.append(positions)
                of_each.append(np.full(len(positions), scores[place], dtype=np.float32))
                if count < k:
                    last = scores[place]
                count += len(positions)
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        return np.concatenate(found), np.concatenate(of_each)

    def _oldest(self, table: CodeTable, code: int, k: int) -> NDArray[np.int64]:
        positions = self._positions[self._starts[code] : self._starts[code + 1]]
        if len(table.codes) < len(self._positions):
            positions = positions[positions < len(table.codes)]
        if table.dead:
            positions = positions[table.alive[positions]]
        return positions[:k]


def best_of(positions: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> list[Hits]:
    """Return the `k` best of each query, equal scores by position; -inf is no candidate."""
    hits = []
    for position, score in zip(positions, scores, strict=True):
        if len(score) > max(4 * k, _LEAST_PARTITIONED):
            kept = np.flatnonzero(score > -np.inf)
            if len(kept) > k:
                kept = kept[score[kept] >= -np.partition(-score[kept], k - 1)[k - 1]]
            order = kept[np.lexsort((position[kept], -score[kept]))[:k]]
        else:
            order = np.lexsort((position, -score))[:k]
            if len(order) and score[order[-1]] == -np.inf:
                order = order[score[order] > -np.inf]
        hits.append(Hits(position[order], score[order]))
    return hits
