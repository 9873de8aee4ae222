"""Order a shortlist by any rank, from codes and records alone: the same for every engine."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.inputs import as_count
from h2q.ranks import Candidates, Queries, RankSpec

#: Items of a shortlist for each item asked for, where the caller does not say.
DEFAULT_OVERSAMPLE: Final = 10
#: No shortlist is shorter: ranking so few costs less than finding them.
LEAST_SHORTLIST: Final = 1000


def shortlist_length(k: int, oversample: int | None) -> int:
    """How many items to find where `k` are asked for and the rank orders a shortlist."""
    if oversample is not None:
        oversample = as_count(oversample, "oversample", least=1)
    return max(k * (oversample or DEFAULT_OVERSAMPLE), LEAST_SHORTLIST)


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
