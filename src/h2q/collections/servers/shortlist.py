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
from h2q.collections.base import Id, Keep, Neighbours, Rank
from h2q.collections.inputs import Queries
from h2q.collections.reranking import Ranked, rerank, shortlist_length


@dataclass(frozen=True)
class Shortlist:
    """Items a server found for one query, in any order.

    Attributes
    ----------
    ids : sequence of c ids
    codes : ndarray of shape (c, ceil(n_bits / 8)), uint8
    records : ndarray of shape (c, record_width(keep, n_bits)), uint8, or None
        Needed where `needs_records` says so.
    ages : ndarray of shape (c,), integer
        Ascending in the order of adding.
    """

    ids: Sequence[Id]
    codes: CodeArray
    records: NDArray[np.uint8] | None
    ages: NDArray[np.int64]


def needs_records(rank: Rank) -> bool:
    """Whether this rank looks at more than the codes."""
    return rank in ("calibrated", "embedding", "cosine")


def shortlist_size(rank: Rank, k: int, oversample: int | None) -> int:
    """How many items to ask the server for where `k` are wanted by this rank.

    Raises
    ------
    InvalidInputError
        If `oversample` is not a whole number of at least 1.
    """
    longer = shortlist_length(k, oversample)  # checks oversample, be it needed or not
    return k if rank == "hamming" else longer


def ranked(
    rank: Rank,
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
    rank : str
        As `reranking.check_rank` returned it.
    queries : Queries
    found : iterable of Shortlist
        One a query, in their order; taken one at a time, so they may be read as they come.
    keep, n_bits
        Of the collection.
    k : int
    """
    ids: list[list[Id]] = []
    best: list[Ranked] = []
    for number, each in enumerate(found):
        one = rerank(
            rank,
            queries,
            number,
            each.codes,
            each.records,
            keep=keep,
            n_bits=n_bits,
            k=k,
            ages=each.ages,
        )
        ids.append([each.ids[i] for i in one.order.tolist()])
        best.append(one)
    scores: list[NDArray[np.float32]] | None = None
    if rank != "hamming":
        scores = [one.scores for one in best if one.scores is not None]
    return Neighbours(ids, [one.distances for one in best], scores)
