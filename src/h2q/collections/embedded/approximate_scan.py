"""Search by Hamming distance through an IVF or HNSW index: most of the nearest, soon."""

from __future__ import annotations

from typing import Final

import numpy as np

from h2q._typing import CodeArray
from h2q.collections.embedded import faiss_binary, hamming_scan
from h2q.collections.embedded.hits import Hits, in_threads
from h2q.collections.embedded.row_index import RowIndex
from h2q.collections.embedded.table import CodeTable

#: Of the table: to find more than this, a scan is faster.
_LARGEST_SHARE: Final = 1 / 16


def nearest(index: RowIndex, table: CodeTable, queries: CodeArray, k: int) -> list[Hits]:
    """Return `k` items near each query, nearest first, older first among equals.

    Distances are true; a nearer item may be missed. A query for which the index finds fewer than
    `k` items is answered by the exact scan.
    """
    gone = len(index) - len(table)
    fetch = k if gone <= 0 else k + k * gone // len(table) + 16
    if fetch > len(table) * _LARGEST_SHARE:
        return hamming_scan.nearest(table, queries, k)
    _set_effort(index, fetch)

    def search(share: slice) -> list[Hits]:
        distances, labels = index.faiss.search(np.ascontiguousarray(queries[share]), fetch)
        positions = index.positions(table, labels)
        hits = []
        for distance, position in zip(distances, positions, strict=True):
            held = position >= 0
            position, distance = position[held], distance[held]
            order = np.lexsort((position, distance))[:k]
            hits.append(Hits(position[order], distance[order]))
        return hits

    found = in_threads(search, len(queries))
    short = [number for number, hit in enumerate(found) if len(hit.values) < min(k, len(table))]
    if short:
        for number, hit in zip(short, hamming_scan.nearest(table, queries[short], k), strict=True):
            found[number] = hit
    return found


def _set_effort(index: RowIndex, fetch: int) -> None:
    options = index.spec.options
    if index.spec.kind == "hnsw":
        index.faiss.hnsw.efSearch = max(index.spec.option("ef_search"), fetch)
    else:
        nlist = index.faiss.nlist
        index.faiss.nprobe = min(options.get("nprobe", faiss_binary.default_nprobe(nlist)), nlist)
