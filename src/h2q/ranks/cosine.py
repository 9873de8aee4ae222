"""The ranks "embedding" and "cosine": by the rows that are kept beside the codes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q.ranks.records import decode_rows, keeps_uncentred_rows
from h2q.ranks.spec import Candidates, Queries


def cosines(row: NDArray[np.float32], rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Cosine of a row (n_bits,) with each of `rows` (c, n_bits)."""
    lengths = np.sqrt(np.square(rows).sum(axis=1))
    cosine: NDArray[np.float32] = (unit_products(row, rows) / lengths).astype(np.float32)
    return cosine


def unit_products(row: NDArray[np.float32], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner product of a row (n_bits,) at length 1 with each of `rows` (c, n_bits)."""
    query = row.astype(np.float64)
    query /= np.sqrt(np.square(query).sum())
    # Not a matrix product: equal rows must have equal products wherever they stand.
    total: NDArray[np.float64] = (rows * query).sum(axis=1)
    return total


def prepare(queries: Queries) -> NDArray[np.float32] | None:
    """Return the queries as the rows are kept: uncentred where the quantizer would centre."""
    if queries.rows is None or not keeps_uncentred_rows(queries.quantizer):
        return queries.rows
    rows: NDArray[np.float32] = np.asarray(
        queries.quantizer.rotate_uncentred(queries.given), dtype=np.float32
    )
    return rows


def score(queries: Queries, state: Any, number: int, found: Candidates) -> NDArray[np.float32]:
    """Scores of the candidates of one query; `state` is what `prepare` returned."""
    if state is None:
        raise ValueError("the rank needs real queries")
    rows = decode_rows(found.needed_records(), found.keep, found.n_bits)
    return cosines(state[number], rows)
