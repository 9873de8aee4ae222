"""Exact search by Hamming distance: faiss's scan of the codes in memory, without a copy of them.

faiss keeps equal distances in the order of the scan, the older item first; the tests hold it to
that.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.embedded.hits import Hits, in_threads
from h2q.collections.embedded.table import CodeTable

_MOST_IN_16_BITS: Final = 65_535
#: Its type stubs do not know this function.
_range_search: Final[Any] = vars(faiss)["hamming_range_search"]


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
