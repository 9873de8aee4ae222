"""Metrics of hash lookup: all items within a Hamming radius, so nothing ties."""

from __future__ import annotations

import numpy as np
from scipy.special import comb

from h2q._numbers import whole_number
from h2q._typing import Array
from h2q.evaluation._backend import backend_for
from h2q.evaluation._expectation import ratio
from h2q.evaluation._labels import SharedLabel
from h2q.evaluation._per_query import by_radius, check_lengths
from h2q.evaluation.curves import Curve
from h2q.evaluation.ranking import Retrieval


def precision_recall_by_radius(
    query: Array,
    database: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    n_bits: int | None = None,
) -> Curve:
    """Precision and recall of all items within each Hamming radius, 0 to n_bits (hash lookup).

    Parameters are those of `average_precision`. A query that finds nothing within a radius has
    precision 0 there, as usual in the literature.

    Returns
    -------
    Curve
        `cutoffs` are the radii.

    Raises
    ------
    InvalidInputError
        As `average_precision`: rows or labels that cannot be used or do not fit together.
    """
    backend = backend_for(query, database)
    relevance = SharedLabel(query_labels, database_labels, backend)
    retrieval = Retrieval(query, database, relevance, n_bits)
    check_lengths(retrieval, query_labels, database_labels)
    xp = backend.xp
    precision = recall = backend.zeros((retrieval.n_bits + 1,))
    for block in retrieval.blocks([], by_distance=True):
        within, found = by_radius(block, retrieval.n_bits)
        precision = precision + xp.sum(ratio(found, within, backend), axis=0)
        recall = recall + xp.sum(ratio(found, block.n_relevant[:, None], backend), axis=0)
    radii = np.arange(retrieval.n_bits + 1, dtype=np.int64)
    nq = len(retrieval)
    return Curve(radii, backend.to_numpy(precision) / nq, backend.to_numpy(recall) / nq)


def precision_within_radius(
    query: Array,
    database: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    radius: int = 2,
    n_bits: int | None = None,
) -> float:
    """Mean share of relevant items among those within a Hamming radius (inclusive).

    Parameters are those of `average_precision`. A query that finds nothing counts as 0.

    Raises
    ------
    InvalidInputError
        If the inputs do not match, or `radius` is not from 0 to n_bits.
    """
    radius = whole_number(radius, "radius", least=0)
    curve = precision_recall_by_radius(
        query, database, query_labels, database_labels, n_bits=n_bits
    )
    last = whole_number(radius, "radius", least=0, most=len(curve.cutoffs) - 1)
    return float(curve.precision[last])


def radius_aware_map(
    query: Array,
    database: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    max_radius: int | None = None,
    lookup_cost: bool = False,
    n_bits: int | None = None,
) -> float:
    """Mean over the radii 0..max_radius of the precision within that radius (RAMAP).

    The metric of Jiang, Li and Li, "On the evaluation metric for hashing" (arXiv 1905.10951), for
    hash lookup. Unlike mAP it has no ties and rewards codes that separate at small radii, where
    lookup is cheap. The definition used: the RAAP of a query is the sum over r = 0..R of

        (relevant items within r) / (items within r)        (0 where nothing lies within r)

    divided by R + 1, and RAMAP is its mean over the queries; R = n_bits by default, and with
    `lookup_cost` each term is also divided by C(n_bits, 0) + ... + C(n_bits, r). The article's own
    text was not at hand: this definition agrees with its abstract, and with how a public
    third-party implementation, which was read and not run, defines it.

    Parameters
    ----------
    query, database, query_labels, database_labels, n_bits
        As in `average_precision`.
    max_radius : int, optional
        n_bits by default.
    lookup_cost : bool
        Divide the precision within r by the number of buckets a lookup within r visits,
        C(n_bits, 0) + ... + C(n_bits, r).

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    InvalidInputError
        If the inputs do not match, or `max_radius` is not from 0 to n_bits.
    """
    curve = precision_recall_by_radius(
        query, database, query_labels, database_labels, n_bits=n_bits
    )
    n = len(curve.cutoffs) - 1
    last = n if max_radius is None else whole_number(max_radius, "max_radius", least=0, most=n)
    cost = np.cumsum(comb(n, curve.cutoffs)) if lookup_cost else np.ones(n + 1)
    return float((curve.precision / cost)[: last + 1].mean())
