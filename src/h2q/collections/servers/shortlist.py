"""Rank what a server found by Hamming distance: the part of a search done on this side.

A server is asked for the `shortlist_size` nearest codes of each query, in the order of their
distance, together with their codes and, where the rank needs them, their records; `ranked` orders
them by any rank. Nothing is asked of the server twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.base import Id, Neighbours
from h2q.collections.reranking import Ranked, rerank, shortlist_length
from h2q.ranks import Candidates, Keep, Queries, RankSpec


@dataclass(frozen=True)
class Shortlist:
    """Items a server found for one query, in any order.

    Attributes
    ----------
    ids : sequence of c ids
    codes : ndarray of shape (c, ceil(n_bits / 8)), uint8
    records : ndarray of shape (c, record_width(keep, n_bits)), uint8, or None
        There where the rank needs them.
    ages : ndarray of shape (c,), integer
        Ascending in the order of adding.
    """

    ids: Sequence[Id]
    codes: CodeArray
    records: NDArray[np.uint8] | None
    ages: NDArray[np.int64]


def shortlist_size(rank: RankSpec, k: int, oversample: int | None) -> int:
    """How many items to ask the server for where `k` are wanted by this rank.

    Raises
    ------
    InvalidInputError
        If `oversample` is not a whole number of at least 1.
    """
    longer = shortlist_length(k, oversample)  # checks oversample, be it needed or not
    return k if rank.score is None else longer


def ranked(
    rank: RankSpec,
    queries: Queries,
    found: Iterable[Shortlist],
    *,
    keep: Keep,
    n_bits: int,
    k: int,
) -> Neighbours:
    """Order the shortlist of each query and return the `k` best.

    Parameters
    ----------
    rank : RankSpec
    queries : Queries
    found : iterable of Shortlist
        One a query, in their order; taken one at a time, so they may be read as they come.
    keep, n_bits
        Of the collection.
    k : int
    """
    ids: list[list[Id]] = []
    best: list[Ranked] = []
    state = rank.prepared(queries)
    for number, each in enumerate(found):
        candidates = Candidates(each.codes, each.records, keep, n_bits)
        one = rerank(rank, queries, state, number, candidates, k=k, ages=each.ages)
        ids.append([each.ids[i] for i in one.order.tolist()])
        best.append(one)
    scores: list[NDArray[np.float32]] | None = None
    if rank.score is not None:
        scores = [one.scores for one in best if one.scores is not None]
    return Neighbours(ids, [one.distances for one in best], scores)
