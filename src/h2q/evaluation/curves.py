"""Precision and recall at k, and their curve over k, expected over ties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._numbers import whole_number
from h2q._renamed import renamed
from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._backend import backend_for
from h2q.evaluation._expectation import ratio
from h2q.evaluation._labels import SharedLabel
from h2q.evaluation._per_query import check_lengths
from h2q.evaluation._sides import Decoder
from h2q.evaluation.ranking import Ranking, Retrieval


@dataclass(frozen=True, eq=False)
class Curve:
    """Mean precision and recall over the queries, at growing cut-offs.

    Attributes
    ----------
    cutoffs : ndarray of int64, shape (c,)
        Numbers of retrieved items, or Hamming radii.
    precision, recall : ndarray of float64, shape (c,)
    """

    cutoffs: NDArray[np.int64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


@renamed(ranking="rank")
def precision_recall_curve(
    query: Array,
    database: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    rank: Ranking = "hamming",
    n_bits: int | None = None,
    decoder: Decoder | None = None,
    quantizer: Any = None,
    at: Sequence[int] | None = None,
) -> Curve:
    """Precision and recall at k, for a range of k.

    Parameters
    ----------
    query, database, query_labels, database_labels, rank, n_bits, decoder, quantizer
        As in `average_precision`.
    at : sequence of int, optional
        The cut-offs k; by default some 60 from 1 to the size of the database, evenly spaced on a
        logarithmic scale.

    Returns
    -------
    Curve
        Expected over ties; the mean over queries at each k (a query with nothing relevant has
        precision and recall 0).

    Raises
    ------
    InvalidInputError
        If the inputs do not match or hold NaN, they do not allow the rank, or a cut-off is below 1.
    """
    backend = backend_for(query, database)
    relevance = SharedLabel(query_labels, database_labels, backend)
    retrieval = Retrieval(query, database, relevance, n_bits, decoder, quantizer)
    check_lengths(retrieval, query_labels, database_labels)
    n = len(retrieval.database)
    if at is None:
        cutoffs = default_cutoffs(n)
    elif not np.iterable(at) or not len(at):
        raise InvalidInputError(f"at is a list of cut-offs k, of at least one, got {at!r:.80}")
    else:
        cutoffs = np.array([min(whole_number(k, "a cut-off k"), n) for k in at], dtype=np.int64)
    xp, cuts = backend.xp, backend.asarray(cutoffs)
    precision, recall = backend.zeros(cutoffs.shape), backend.zeros(cutoffs.shape)
    for block in retrieval.blocks([rank], int(cutoffs.max())):
        found = block.groups[rank].expected_relevant(cuts)
        precision = precision + xp.sum(ratio(found, cuts, backend), axis=0)
        recall = recall + xp.sum(ratio(found, block.n_relevant[:, None], backend), axis=0)
    nq = len(retrieval)
    return Curve(cutoffs, backend.to_numpy(precision) / nq, backend.to_numpy(recall) / nq)


@renamed(ranking="rank")
def precision_at_k(
    query: Array,
    database: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    k: int,
    rank: Ranking = "hamming",
    n_bits: int | None = None,
    decoder: Decoder | None = None,
    quantizer: Any = None,
) -> float:
    """Mean share of relevant items among the best k (of all items, where there are fewer).

    Parameters are those of `average_precision`.

    Raises
    ------
    InvalidInputError
        As `average_precision`: also for a `k` below 1.
    """
    curve = precision_recall_curve(
        query, database, query_labels, database_labels, rank=rank, n_bits=n_bits,
        at=[k], decoder=decoder, quantizer=quantizer,
    )  # fmt: skip
    return float(curve.precision[0])


@renamed(ranking="rank")
def recall_at_k(
    query: Array,
    database: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    k: int,
    rank: Ranking = "hamming",
    n_bits: int | None = None,
    decoder: Decoder | None = None,
    quantizer: Any = None,
) -> float:
    """Mean share of the relevant items that are among the best k; 0 for a query without any.

    Parameters are those of `average_precision`.

    Raises
    ------
    InvalidInputError
        As `average_precision`: also for a `k` below 1.
    """
    curve = precision_recall_curve(
        query, database, query_labels, database_labels, rank=rank, n_bits=n_bits,
        at=[k], decoder=decoder, quantizer=quantizer,
    )  # fmt: skip
    return float(curve.recall[0])


def default_cutoffs(n: int, points: int = 60) -> NDArray[np.int64]:
    """Return about `points` cut-offs from 1 to n, evenly spaced on a logarithmic scale."""
    return np.unique(np.rint(np.geomspace(1, n, points)).astype(np.int64))
