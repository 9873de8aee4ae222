"""The rank "decoded": the real query against the row expected behind each code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q.ranks.cosine import unit_products
from h2q.ranks.spec import Candidates, Queries


def products(row: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner product of a row (n_bits,) at length 1 with each of `rows` (c, n_bits) / sqrt(n_bits).

    The length of a row of `rows` counts: it says how sure the row is.
    """
    product = unit_products(row, rows.astype(np.float64)) / np.sqrt(row.shape[0])
    scores: NDArray[np.float32] = product.astype(np.float32)
    return scores


def score(queries: Queries, state: Any, number: int, found: Candidates) -> NDArray[np.float32]:
    """Scores of the candidates of one query."""
    if queries.rows is None or queries.decoder is None:
        raise ValueError("the decoded ranking needs real queries and a decoder")
    return products(queries.rows[number], queries.decoder.decode(found.codes))
