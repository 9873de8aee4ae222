"""Exact search by a rank's score: scan approximately, re-score a shortlist, prove it whole.

The shortlist of the rank's `Scan` is re-scored exactly. If its k-th best exact score exceeds
everything the scan may have left out (its bound), the answer is the exact one; otherwise the query
is asked again with a longer shortlist (of the distinct codes, where they repeat), and at last
scored against every code. So the result is always that of a full exact scan, ties and removed items
included, at the cost of the approximate one.
"""

from __future__ import annotations

import threading
from typing import Final

import numpy as np
from numpy.typing import NDArray

from h2q.collections.embedded.distinct_codes import DistinctCodes
from h2q.collections.embedded.hits import Hits, in_threads
from h2q.collections.embedded.table import CodeTable
from h2q.ranks import Queries, Scan, Scorer
from h2q.ranks.spec import Prepared

#: Codes scored exactly without a FastScan: fewer than this, or than this share of those in it.
_LEAST_SCANNED: Final = 4096
_TAIL_SHARE: Final = 1 / 256
#: Scores computed at a time: the temporary arrays stay within some 100 MB.
_BLOCK_SCORES: Final = 1 << 22
#: Candidates of which it is worth finding the k-th before they are sorted.
_LEAST_PARTITIONED: Final = 1024
#: A shortlist that must exceed this share of the codes is dearer than scoring them all.
_LONGEST_SHARE: Final = 1 / 16


class ProvenScan:
    """Searches a table by the scores of a rank, following it as it changes.

    A `Scan` covers the codes up to some position; the few after it are scored exactly, until
    they are many enough to build it anew.
    """

    def __init__(self, table: CodeTable, scorer: Scorer) -> None:
        self._table = table
        self._scorer = scorer
        self._epoch = table.epoch
        self._scan: Scan | None = None
        self._distinct: DistinctCodes | None = None
        self._lock = threading.Lock()

    def nearest(self, queries: Queries, k: int) -> list[Hits]:
        """Return the `k` items of the highest score with each query, or all where there are fewer.

        Parameters
        ----------
        queries : Queries
        k : int
        """
        k = min(k, len(self._table))
        if k == 0:
            return [
                Hits(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in range(len(queries))
            ]
        scan = self._refreshed()
        return in_threads(lambda share: self._nearest(scan, queries.take(share), k), len(queries))

    def _refreshed(self) -> Scan | None:
        size = len(self._table.codes)
        covered = 0 if self._scan is None else len(self._scan)
        if self._epoch != self._table.epoch:
            self._scan, self._epoch, covered = None, self._table.epoch, 0
            self._distinct = None
        if size - covered > max(_LEAST_SCANNED, covered * _TAIL_SHARE):
            self._scan, self._distinct = self._scorer.index(self._table.codes), None
        return self._scan

    def _distinct_codes(self, scan: Scan) -> DistinctCodes:
        """Return the distinct codes of what `scan` covers; made when a shortlist first fails."""
        with self._lock:  # shares of the queries are searched in threads
            if self._distinct is None:
                self._distinct = DistinctCodes(self._table, len(scan), self._scorer)
            return self._distinct

    def _nearest(self, scan: Scan | None, queries: Queries, k: int) -> list[Hits]:
        hits: list[Hits] = []
        tail = len(self._table.codes) - (0 if scan is None else len(scan))
        shortlist = 2 * k + 64
        size = max(1, _BLOCK_SCORES // (tail + shortlist))
        for start in range(0, len(queries), size):
            hits += self._nearest_of_block(
                scan, self._scorer.prepare(queries.take(slice(start, start + size))), k, shortlist
            )
        return hits

    def _nearest_of_block(
        self, scan: Scan | None, asked: Prepared, k: int, shortlist: int
    ) -> list[Hits]:
        if scan is None:
            return _best(*self._scored_from(asked, 0), k)
        codes = self._table.codes
        hits: dict[int, Hits] = {}
        pending = np.arange(len(asked))
        while len(pending) and shortlist <= max(len(scan) * _LONGEST_SHARE, _LEAST_SCANNED):
            given = asked if len(pending) == len(asked) else asked.take(pending)
            positions, bounds = scan.search(given, min(shortlist, len(scan)))
            scores = self._scorer.of_each(given, codes[positions])
            scores[positions < 0] = -np.inf
            if self._table.dead:
                scores[~self._table.alive[positions]] = -np.inf
            if len(scan) < len(codes):
                later, later_scores = self._scored_from(given, len(scan))
                positions = np.concatenate([positions, later], axis=1)
                scores = np.concatenate([scores, later_scores], axis=1)
            block = _best(positions, scores, k)
            for query, hit, bound in zip(pending.tolist(), block, bounds, strict=True):
                if len(hit.values) == k and hit.values[-1] > bound:
                    hits[query] = hit
            pending = np.array([query for query in pending if query not in hits], dtype=np.intp)
            shortlist *= 8
            if len(pending) and self._distinct_codes(scan).worthwhile:
                break
        for query in pending.tolist():  # many ties, or k near the size of the collection
            hits[query] = self._among_all(scan, asked.take(slice(query, query + 1)), k)
        return [hits[query] for query in range(len(asked))]

    def _among_all(self, scan: Scan, asked: Prepared, k: int) -> Hits:
        """Return the `k` best items of one query, without a shortlist."""
        distinct = self._distinct_codes(scan)
        if not distinct.worthwhile:
            return _best(*self._scored_from(asked, 0), k)[0]
        positions, scores = distinct.candidates(asked, k)
        later, later_scores = self._scored_from(asked, len(scan))
        positions = np.concatenate([positions, later[0]])
        scores = np.concatenate([scores, later_scores[0]])
        return _best(positions[None], scores[None], k)[0]

    def _scored_from(
        self, asked: Prepared, start: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Score every code from position `start` on exactly: positions and scores, (nq, c)."""
        scores = self._scorer.of_all(asked, self._table.codes[start:])
        scores[:, ~self._table.alive[start:]] = -np.inf
        positions = np.arange(start, start + scores.shape[1], dtype=np.int64)
        return np.broadcast_to(positions, scores.shape), scores


def _best(positions: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> list[Hits]:
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
