"""From the tie groups of a block to one value a query, and to the mean; used by every metric."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._expectation import expected_average_precision
from h2q.evaluation._labels import SharedLabel
from h2q.evaluation._ties import TieGroups
from h2q.evaluation.ranking import Block, Retrieval

#: What the sum of precisions is divided by: relevant items retrieved (HashNet and the deep-hashing
#: literature), in the whole database (the textbook's), or that but at most k.
Normalisation: TypeAlias = Literal["retrieved", "relevant", "achievable"]
#: A query without relevant items scores 0 (as the paper's authors count), or is left out.
WithoutRelevant: TypeAlias = Literal["zero", "skip"]

Floats = NDArray[np.float64]


def block_average_precision(
    groups: TieGroups, block: Block, cuts: int | NDArray[np.int64], normalisation: Normalisation
) -> Floats:
    """Return the AP of a block's queries by one ranking's groups, cut at `cuts` items."""
    if normalisation not in get_args(Normalisation):
        raise InvalidInputError(
            f"unknown normalisation {normalisation!r}; one of {get_args(Normalisation)}"
        )
    cuts = np.broadcast_to(np.asarray(cuts, dtype=np.int64), block.n_relevant.shape)
    divisor: Floats | None = None
    if normalisation != "retrieved":
        divisor = block.n_relevant.astype(np.float64)
        if normalisation == "achievable":
            divisor = np.minimum(divisor, cuts)
    return expected_average_precision(groups, cuts, divisor)


def by_radius(block: Block, n_bits: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return items, and relevant items, within each radius 0..n_bits: two (b, n_bits + 1)."""
    groups: TieGroups | None = block.by_distance
    if groups is None:
        raise ValueError("the block was made without by_distance")
    shape = (groups.n_queries, n_bits + 1)
    return (
        np.cumsum(groups.totals.reshape(shape), axis=1),
        np.cumsum(groups.relevant.reshape(shape), axis=1),
    )


def count_relevant(query_labels: Array, database_labels: Array) -> NDArray[np.int64]:
    """Return how many relevant items the database has for each query, shape (nq,)."""
    relevance = SharedLabel(query_labels, database_labels)
    size = max(1, (1 << 22) // max(1, len(relevance.database)))
    return np.concatenate(
        [
            relevance.block(slice(i, i + size)).sum(axis=1)
            for i in range(0, len(relevance.query), size)
        ]
    )


def mean_over_queries(
    scores: Floats, n_relevant: NDArray[np.int64], without_relevant: WithoutRelevant
) -> float:
    """Return the mean score, with queries that have nothing relevant as zeros or left out."""
    if without_relevant not in get_args(WithoutRelevant):
        raise InvalidInputError(
            f"without_relevant must be one of {get_args(WithoutRelevant)}, got {without_relevant!r}"
        )
    if without_relevant == "skip":
        scores = scores[n_relevant > 0]
    return float(scores.mean()) if len(scores) else float("nan")


def check_lengths(retrieval: Retrieval, query_labels: Array, database_labels: Array) -> None:
    """Raise `InvalidInputError` unless there is one label a row on both sides."""
    for name, side, labels in (
        ("query", retrieval.query, query_labels),
        ("database", retrieval.database, database_labels),
    ):
        if len(side) != len(labels):
            raise InvalidInputError(f"{name} has {len(side)} rows but {len(labels)} labels")


def check_k(k: int | None) -> None:
    """Raise `InvalidInputError` unless `k` is None or at least 1."""
    if k is not None and k < 1:
        raise InvalidInputError(f"k must be 1 or more, got {k}")


def ratio(a: NDArray[Any], b: NDArray[np.int64]) -> Floats:
    """Return a / b, and 0 where b is not positive."""
    return np.asarray(
        np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b > 0)
    )
