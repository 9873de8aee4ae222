"""Rank what an engine found by Hamming distance: the part of a search that is the same for all.

An engine finds the `shortlist_size` nearest codes of each query together with their codes and,
where the rank needs them, their records; `ranked` orders them by any rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.conditions import Node
from h2q.collections.inputs import Id, as_count
from h2q.collections.neighbours import Neighbours
from h2q.ranks import Candidates, Keep, Queries, RankSpec

#: Items of a shortlist for each item asked for, where the caller does not say.
DEFAULT_OVERSAMPLE: Final = 10
#: No shortlist is shorter: ranking so few costs less than finding them.
LEAST_SHORTLIST: Final = 1000


@dataclass(frozen=True)
class Asked:
    """What an engine is asked to find.

    Attributes
    ----------
    codes : ndarray of shape (nq, ceil(n_bits / 8)), uint8
    size : int
        How many of the nearest items of each query.
    ties_from : int or None
        All items as near as the one at this place (from 1), too, where the engine can.
    condition : Node or None
        Which items.
    with_codes, with_records : bool
        What is needed of each item beside its id and distance.
    """

    codes: CodeArray
    size: int
    ties_from: int | None = None
    condition: Node | None = None
    with_codes: bool = True
    with_records: bool = False


@dataclass(frozen=True)
class Shortlist:
    """Items an engine found for one query, in any order.

    Attributes
    ----------
    ids : sequence of c ids
    codes : ndarray of shape (c, ceil(n_bits / 8)), uint8, or None
        There where they were asked for.
    records : ndarray of shape (c, record_width(keep, n_bits)), uint8, or None
        There where they were asked for.
    ages : ndarray of shape (c,), integer
        Ascending in the order of adding.
    distances : ndarray of shape (c,), int32, or None
        Hamming distances; there where codes are not.
    """

    ids: Sequence[Id]
    codes: CodeArray | None
    records: NDArray[np.uint8] | None
    ages: NDArray[np.int64]
    distances: NDArray[np.int32] | None = None


def shortlist_length(k: int, oversample: int | None) -> int:
    """How many items to find where `k` are asked for and the rank orders a shortlist."""
    if oversample is not None:
        oversample = as_count(oversample, "oversample", least=1)
    return max(k * (oversample or DEFAULT_OVERSAMPLE), LEAST_SHORTLIST)


def shortlist_size(rank: RankSpec, k: int, oversample: int | None) -> int:
    """How many items to ask an engine for where `k` are wanted by this rank.

    Raises
    ------
    InvalidInputError
        If `oversample` is not a whole number of at least 1.
    """
    longer = shortlist_length(k, oversample)  # checks oversample, be it needed or not
    return k if rank.score is None else longer


class Ranked(NamedTuple):
    """The best of a shortlist.

    `order` are indexes into the shortlist, best first; `distances` (int32) and `scores` (float32,
    None for "hamming") belong to them, as in `h2q.collections.Neighbours`.
    """

    order: NDArray[np.intp]
    distances: NDArray[np.int32]
    scores: NDArray[np.float32] | None


def rerank(
    rank: RankSpec,
    queries: Queries,
    state: Any,
    number: int,
    found: Candidates,
    *,
    k: int,
    ages: NDArray[Any] | None = None,
) -> Ranked:
    """Order the shortlist of one query.

    Parameters
    ----------
    rank : RankSpec
    queries : Queries
    state : object
        What `rank.prepared(queries)` returned.
    number : int
        Which of the queries.
    found : Candidates
        The shortlist; its records where the rank needs them.
    k : int
        How many to return at most.
    ages : ndarray of shape (c,), optional
        Ascending in the order of adding; breaks ties. Without it the shortlist itself is in the
        order of adding.
    """
    code, codes = queries.codes[number], found.codes
    age = np.arange(len(codes)) if ages is None else ages
    if rank.score is None:
        distances = distances_to(code, codes)
        order = np.lexsort((age, distances))[:k]
        return Ranked(order, distances[order], None)
    # Compared as they are returned: what has an equal score is a tie.
    scores = np.asarray(rank.score(queries, state, number, found), dtype=np.float32)
    if rank.distance_first:
        order = np.lexsort((age, -scores, distances_to(code, codes)))[:k]
    else:
        kept = np.arange(len(scores))
        if len(scores) > 4 * k:  # sorting all would cost more than scoring them
            kept = np.flatnonzero(scores >= -np.partition(-scores, k - 1)[k - 1])
        order = kept[np.lexsort((age[kept], -scores[kept]))[:k]]
    return Ranked(order, distances_to(code, codes[order]), scores[order])


def distances_to(code: CodeArray, codes: CodeArray) -> NDArray[np.int32]:
    """Hamming distances of a code (width,) to codes (c, width)."""
    distances: NDArray[np.int32] = np.bitwise_count(codes ^ code).sum(axis=1, dtype=np.int32)
    return distances


def nearest_first(found: Shortlist, k: int | None = None) -> Shortlist:
    """Order items with distances: nearest first, of equal distance the older first; the best."""
    if found.distances is None:
        raise ValueError("the items have no distances")
    order = np.lexsort((found.ages, found.distances))[:k]
    ids = [found.ids[i] for i in order.tolist()]
    return Shortlist(ids, None, None, found.ages[order], found.distances[order])


def by_distance(found: Iterable[Shortlist], k: int | None = None) -> Neighbours:
    """Return items found by distance: as `nearest_first` orders them."""
    ids, distances = [], []
    for each in found:
        best = nearest_first(each, k)
        if best.distances is not None:
            ids.append(list(best.ids))
            distances.append(best.distances)
    return Neighbours(ids, distances)


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
    distances: list[NDArray[np.int32]] = []
    scores: list[NDArray[np.float32]] = []
    state = rank.prepared(queries)
    for number, each in enumerate(found):
        if each.codes is None:
            best = nearest_first(each, k)
            ids.append(list(best.ids))
            if best.distances is not None:
                distances.append(best.distances)
            continue
        candidates = Candidates(each.codes, each.records, keep, n_bits)
        one = rerank(rank, queries, state, number, candidates, k=k, ages=each.ages)
        ids.append([each.ids[i] for i in one.order.tolist()])
        distances.append(one.distances)
        if one.scores is not None:
            scores.append(one.scores)
    return Neighbours(ids, distances, None if rank.score is None else scores)
