"""From the tie groups of a block to one value a query, and to the mean; used by every metric."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from h2q._numbers import whole_number
from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._expectation import expected_average_precision
from h2q.evaluation._ties import TieGroups
from h2q.evaluation.ranking import Block, Retrieval

#: What the sum of precisions is divided by: relevant items retrieved (HashNet and the deep-hashing
#: literature), in the whole database (the textbook's), or that but at most k.
Normalisation: TypeAlias = Literal["retrieved", "relevant", "achievable"]
#: A query without relevant items scores 0 (as the paper's authors count), or is left out.
WithoutRelevant: TypeAlias = Literal["zero", "skip"]


def block_average_precision(
    groups: TieGroups, block: Block, cuts: int | Array, normalisation: Normalisation
) -> Array:
    """Return the AP of a block's queries by one ranking's groups, cut at `cuts` items."""
    if normalisation not in get_args(Normalisation):
        raise InvalidInputError(
            f"unknown normalisation {normalisation!r}; one of {get_args(Normalisation)}"
        )
    xp = groups.backend.xp
    cuts = block.n_relevant * 0 + cuts  # one a query
    divisor: Array | None = None
    if normalisation != "retrieved":
        divisor = xp.astype(block.n_relevant, xp.float64)
        if normalisation == "achievable":
            divisor = xp.minimum(divisor, xp.astype(cuts, xp.float64))
    return expected_average_precision(groups, cuts, divisor)


def by_radius(block: Block, n_bits: int) -> tuple[Array, Array]:
    """Return items, and relevant items, within each radius 0..n_bits: two (b, n_bits + 1)."""
    groups: TieGroups | None = block.by_distance
    if groups is None:
        raise ValueError("the block was made without by_distance")
    shape, backend = (groups.n_queries, n_bits + 1), groups.backend
    return (
        backend.cumsum(backend.xp.reshape(groups.totals, shape), axis=1),
        backend.cumsum(backend.xp.reshape(groups.relevant, shape), axis=1),
    )


def mean_over_queries(
    scores: NDArray[np.float64], n_relevant: NDArray[np.int64], without_relevant: WithoutRelevant
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


#: No database has so many rows; numpy counts them in 64 bits.
_MOST: Final = 1 << 62


def check_k(k: int | None, name: str = "k", least: int = 1) -> int | None:
    """Return a cut-off, or None for all.

    Raises
    ------
    InvalidInputError
        Unless it is None or a whole number of at least `least`.
    """
    return None if k is None else min(whole_number(k, name, least=least), _MOST)
