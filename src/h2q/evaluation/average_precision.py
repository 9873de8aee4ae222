"""Average precision and its mean over the queries (mAP), expected over ties."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._renamed import renamed
from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._backend import backend_for
from h2q.evaluation._labels import SharedLabel
from h2q.evaluation._per_query import (
    Normalisation,
    WithoutRelevant,
    block_average_precision,
    check_k,
    check_lengths,
    mean_over_queries,
)
from h2q.evaluation._sides import Decoder
from h2q.evaluation.ranking import Ranking, Retrieval


@renamed(ranking="rank")
def average_precision(
    query: Array,
    database: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    rank: Ranking = "hamming",
    k: int | None = None,
    radius: int | None = None,
    n_bits: int | None = None,
    normalisation: Normalisation = "retrieved",
    decoder: Decoder | None = None,
    quantizer: Any = None,
) -> NDArray[np.float64]:
    """Average precision of each query.

    Parameters
    ----------
    query, database : array, shape (nq, n_bits) and (n, n_bits), or (.., ceil(n_bits / 8)) of uint8
        Rotated real rows (a bit is 1 where the value is positive), or packed codes with `n_bits`.
        numpy, or torch on any device; the work is done where they are.
    query_labels, database_labels : array
        Integer classes (n,), or multi-hot 0/1 (n, c). Relevant means sharing a label.
    rank : str
        How items are ordered: any of `h2q.ranks.RANKS`. One that no code of its own is here for is
        judged by its scores, where equal ones are ties; of the rows it has what a collection with
        the first of its `keeps` has.
    k : int, optional
        Only the best k items count; all of them by default.
    radius : int, optional
        Instead of `k`: only items within this Hamming distance count, ordered by `rank`.
    n_bits : int, optional
        Length of packed codes.
    normalisation : {"retrieved", "relevant", "achievable"}
        What the sum of the precisions at relevant items is divided by: the relevant items among
        the first k (HashNet and the deep-hashing literature), those in the database (the
        textbook's), or the smaller of that and k.
    decoder : h2q.CodeDecoder or h2q.LinearDecoder, optional
        For the rank "decoded" or "linear".
    quantizer : fitted quantizer, optional
        Rotates and codes the real rows, which are then given as they were before it, (n, d). The
        rank "reconstructed" needs it, and so does "linear" where its decoder was fitted on such
        rows.

    Returns
    -------
    ndarray of float64, shape (nq,)
        Expected value over all orders of tied items; 0 for a query with nothing relevant.

    Raises
    ------
    InvalidInputError
        For inputs that do not match, NaN, a rank that needs real rows where there are codes, or
        both of k and radius.
    """
    return _scores(
        query, database, query_labels, database_labels, rank, k, radius, n_bits, normalisation,
        decoder, quantizer,
    )[0]  # fmt: skip


def _scores(
    query: Array,
    database: Array,
    query_labels: Array,
    database_labels: Array,
    rank: Ranking,
    k: int | None,
    radius: int | None,
    n_bits: int | None,
    normalisation: Normalisation,
    decoder: Decoder | None,
    quantizer: Any,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return AP, and the number of relevant items, of each query."""
    k, radius = check_k(k), check_k(radius, "radius", least=0)
    if k is not None and radius is not None:
        raise InvalidInputError("give k or radius, not both")
    backend = backend_for(query, database)
    relevance = SharedLabel(query_labels, database_labels, backend)
    retrieval = Retrieval(query, database, relevance, n_bits, decoder, quantizer)
    check_lengths(retrieval, query_labels, database_labels)
    result = backend.empty((len(retrieval),))
    n_relevant = backend.empty((len(retrieval),), integer=True)
    for block in retrieval.blocks([rank], k, radius=radius):
        cuts = len(retrieval.database) if k is None else k
        n_relevant[block.rows] = block.n_relevant
        result[block.rows] = block_average_precision(
            block.groups[rank],
            block,
            cuts if block.within is None else block.within,
            normalisation,
        )
    return backend.to_numpy(result), backend.to_numpy(n_relevant)


@renamed(ranking="rank")
def mean_average_precision(
    query: Array,
    database: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    rank: Ranking = "hamming",
    k: int | None = None,
    radius: int | None = None,
    n_bits: int | None = None,
    normalisation: Normalisation = "retrieved",
    without_relevant: WithoutRelevant = "zero",
    decoder: Decoder | None = None,
    quantizer: Any = None,
) -> float:
    """Mean over the queries of `average_precision`, which has the parameters.

    Parameters
    ----------
    query, database, query_labels, database_labels, rank, k, radius, n_bits, normalisation, \
    decoder, quantizer
        As in `average_precision`.
    without_relevant : {"zero", "skip"}
        A query with no relevant item in the database counts as 0 (as the paper's authors do), or
        is left out of the mean.

    Returns
    -------
    float
        Between 0 and 1; NaN if every query is left out.

    Raises
    ------
    InvalidInputError
        As `average_precision`, and for another word for `without_relevant`.

    Examples
    --------
    Both items at distance 0 tie, so a relevant one comes first or second, evenly:

    >>> import numpy as np
    >>> query, database = np.ones((1, 4)), np.array([[1., 1, 1, 1], [1, 1, 1, 1], [-1, -1, 1, 1]])
    >>> mean_average_precision(query, database, np.array([0]), np.array([0, 1, 1]))
    0.75
    """
    scores, n_relevant = _scores(
        query, database, query_labels, database_labels, rank, k, radius, n_bits, normalisation,
        decoder, quantizer,
    )  # fmt: skip
    return mean_over_queries(scores, n_relevant, without_relevant)
