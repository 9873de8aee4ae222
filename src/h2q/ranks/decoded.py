"""The rank "decoded": the real query against the row expected behind each code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q.ranks.cosine import unit_products
from h2q.ranks.spec import Candidates, Queries
from h2q.ranks.uncentred import Uncentred


def products(row: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner product of a row (n_bits,) at length 1 with each of `rows` (c, n_bits) / sqrt(n_bits).

    The length of a row of `rows` counts: it says how sure the row is.
    """
    product = unit_products(row, rows.astype(np.float64)) / np.sqrt(row.shape[0])
    scores: NDArray[np.float32] = product.astype(np.float32)
    return scores


def prepare(queries: Queries) -> tuple[Uncentred, Any] | None:
    """Return what puts the mean back, and the queries for it; None where nothing was centred."""
    uncentred = Uncentred.of(queries.quantizer)
    if uncentred is None or queries.given is None:
        return None
    return uncentred, uncentred.prepared(queries.given)


def score(queries: Queries, state: Any, number: int, found: Candidates) -> NDArray[np.float32]:
    """Scores of the candidates of one query; `state` is what `prepare` returned."""
    if queries.rows is None or queries.decoder is None:
        raise ValueError("the rank 'decoded' needs real queries and a decoder")
    expected = queries.decoder.decode(found.codes)
    if state is None:
        return products(queries.rows[number], expected)
    uncentred, (rows, offsets) = state
    scores: NDArray[np.float32] = uncentred.scores(rows[number], float(offsets[number]), expected)
    return scores
