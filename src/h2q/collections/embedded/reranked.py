"""The ranks that need records: a shortlist from the codes in memory, ordered by `reranking`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from h2q.collections.embedded import hamming_scan
from h2q.collections.embedded.hits import Hits
from h2q.collections.embedded.table import CodeTable
from h2q.collections.embedded.view import View
from h2q.collections.shortlists import rerank
from h2q.ranks import RANKS, Candidates, Keep, Queries, RankSpec

#: Records of the rows of a shortlist.
RecordsOf = Callable[[NDArray[np.int64]], NDArray[np.uint8]]


def nearest(
    view: View,
    records_of: RecordsOf | None,
    queries: Queries,
    rank: RankSpec,
    k: int,
    *,
    shortlist: int,
    keep: Keep,
    n_bits: int,
) -> tuple[list[Hits], list[Hits]]:
    """Return the `k` best items of each query: with their scores, and with their distances.

    "embedding" is exact: its shortlist is all items no farther, by Hamming distance, than the
    k-th nearest. "decoded", "calibrated" and "cosine" order the `shortlist` items of the highest
    asymmetric score. Where the view is approximate, every rank orders its `shortlist` nearest items
    by Hamming distance.
    """
    table = view.table
    if view.approximate():
        candidates = [hit.positions for hit in view.nearest(queries.codes, shortlist)]
    elif rank.distance_first or queries.rows is None:
        found = hamming_scan.nearest(table, queries.codes, shortlist)
        candidates = [_with_all_ties(table, queries, i, hit, k) for i, hit in enumerate(found)]
    else:
        by = RANKS["asymmetric"]
        candidates = [
            hit.positions for hit in view.scan(by, queries.quantizer).nearest(queries, shortlist)
        ]
    scored, measured = [], []
    state = rank.prepared(queries)
    for number, positions in enumerate(candidates):
        oldest_first = np.sort(positions)
        ranked = rerank(
            rank,
            queries,
            state,
            number,
            Candidates(
                table.codes[oldest_first],
                None if records_of is None else records_of(table.rows[oldest_first]),
                keep,
                n_bits,
            ),
            k=k,
        )
        best = oldest_first[ranked.order]
        if ranked.scores is not None:
            scored.append(Hits(best, ranked.scores))
        measured.append(Hits(best, ranked.distances))
    return scored, measured


def _with_all_ties(
    table: CodeTable, queries: Queries, number: int, hits: Hits, k: int
) -> NDArray[np.int64]:
    """Positions of all items as near as the k-th, of which `hits` are the nearest."""
    if len(hits.values) <= k and len(hits.values) == len(table):
        return hits.positions
    farthest = hits.values[k - 1]
    if len(hits.values) < len(table) and hits.values[-1] == farthest:  # ties may be missing
        code = queries.codes[number : number + 1]
        return hamming_scan.within(table, code, int(farthest))[0].positions
    near: NDArray[np.int64] = hits.positions[hits.values <= farthest]
    return near
