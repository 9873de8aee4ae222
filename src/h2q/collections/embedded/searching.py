"""What a search of a view answers, by rank."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from h2q.collections.embedded import reranked
from h2q.collections.embedded.hits import Hits
from h2q.collections.embedded.view import View
from h2q.collections.neighbours import Neighbours
from h2q.collections.shortlists import DEFAULT_OVERSAMPLE, shortlist_length
from h2q.ranks import Keep, Queries, RankSpec


def neighbours(
    view: View,
    queries: Queries,
    rank: RankSpec,
    k: int,
    *,
    oversample: int | None,
    records_of: reranked.RecordsOf | None,
    keep: Keep,
    n_bits: int,
) -> Neighbours:
    """Find the `k` best items for each query.

    Parameters
    ----------
    view : View
    queries : Queries
    rank : RankSpec
    k : int
    oversample : int, optional
        Items of a shortlist for each item asked for, where the rank orders one.
    records_of : callable, optional
        Records of rows; needed by ranks that need more than codes.
    keep : str
        What the records are.
    n_bits : int
    """
    shortlist = shortlist_length(k, oversample)
    if rank.score is None:
        return by_distance(view, view.nearest(queries.codes, k))
    if view.approximate():  # its time grows with the shortlist
        shortlist = k * (oversample or DEFAULT_OVERSAMPLE)
    elif rank.scorer is not None:
        hits = view.scan(rank, queries.quantizer).nearest(queries, k)
        distances = _distances(view, queries, hits)
        return Neighbours(_ids(view, hits), distances, [hit.values for hit in hits])
    if not rank.needs_records:
        records_of = None
    hits, measured = reranked.nearest(
        view, records_of, queries, rank, k, shortlist=shortlist, keep=keep, n_bits=n_bits
    )
    distances = [each.values for each in measured]
    return Neighbours(_ids(view, hits), distances, [hit.values for hit in hits])


def by_distance(view: View, hits: list[Hits]) -> Neighbours:
    """Return what was found by Hamming distance."""
    return Neighbours(_ids(view, hits), [hit.values for hit in hits])


def _ids(view: View, hits: list[Hits]) -> list[list[int | str]]:
    return [view.table.ids_at(hit.positions) for hit in hits]


def _distances(view: View, queries: Queries, hits: list[Hits]) -> list[NDArray[np.int32]]:
    codes = view.table.codes
    return [
        np.bitwise_count(codes[hit.positions] ^ code).sum(axis=1, dtype=np.int32)
        for code, hit in zip(queries.codes, hits, strict=True)
    ]
