"""Without labels: how many of the true neighbours a shortlist of codes holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._labels import as_numpy
from h2q.evaluation._sides import UnitRows
from h2q.evaluation.ranking import Ranking, Retrieval


class TrueNeighbours:
    """Relevant means: among the `k` rows of the database nearest by cosine similarity.

    Parameters
    ----------
    query, database : array, shape (nq, d) and (n, d)
        Real embeddings, before any projection or quantization.
    k : int
        Number of true neighbours; which of several equally near rows counts is arbitrary.
    """

    def __init__(self, query: Array, database: Array, k: int) -> None:
        arrays = [as_numpy(query), as_numpy(database)]
        for name, array in zip(("query", "database"), arrays, strict=True):
            if array.ndim != 2 or array.dtype.kind != "f" or not np.isfinite(array).all():
                raise InvalidInputError(
                    f"{name} embeddings must be finite real rows (n, d), "
                    f"got {array.dtype} of shape {array.shape}"
                )
        if arrays[0].shape[1] != arrays[1].shape[1]:
            raise InvalidInputError(
                f"embeddings of {arrays[0].shape[1]} and {arrays[1].shape[1]} columns"
            )
        if not 1 <= k <= len(arrays[1]):
            raise InvalidInputError(f"k must be 1 to {len(arrays[1])}, got {k}")
        self.k = k
        self._query, self._database = UnitRows(arrays[0]), UnitRows(arrays[1])

    def __len__(self) -> int:
        return len(self._query)

    @property
    def n_database(self) -> int:
        """Rows of the database."""
        return len(self._database)

    def block(self, rows: slice) -> NDArray[np.bool_]:
        """Return which database rows are true neighbours of the queries `rows`, shape (b, n)."""
        similarities = self._database.similarities(self._query.take(rows))
        nearest = np.argpartition(similarities, -self.k, axis=1)[:, -self.k :]
        relevant = np.zeros(similarities.shape, dtype=np.bool_)
        np.put_along_axis(relevant, nearest, True, axis=1)
        return relevant


def neighbour_recall(
    query: Array,
    database: Array,
    *,
    query_embeddings: Array | None = None,
    database_embeddings: Array | None = None,
    k: int = 10,
    shortlist: int = 100,
    ranking: Ranking = "hamming",
    n_bits: int | None = None,
) -> float:
    """Mean share of the true `k` nearest rows (cosine) found in a shortlist.

    Parameters
    ----------
    query, database : array
        Rotated real rows, or packed codes with `n_bits`: what is ranked.
    query_embeddings, database_embeddings : array, shape (nq, d) and (n, d), optional
        The embeddings the true neighbours are found among; `query` and `database` themselves by
        default, which must then be real. Give the originals where the codes are of a projection.
    k : int
        Number of true neighbours.
    shortlist : int
        Number of items retrieved.
    ranking : {"hamming", "asymmetric", "embedding", "cosine"}
        How the shortlist is ranked; the value is expected over ties.
    n_bits : int, optional
        Length of packed codes.

    Returns
    -------
    float
        Between 0 and 1.
    """
    if shortlist < 1:
        raise InvalidInputError(f"shortlist must be 1 or more, got {shortlist}")
    truth = TrueNeighbours(
        query if query_embeddings is None else query_embeddings,
        database if database_embeddings is None else database_embeddings,
        k,
    )
    retrieval = Retrieval(query, database, truth, n_bits)
    if len(truth) != len(retrieval) or truth.n_database != len(retrieval.database):
        raise InvalidInputError("embeddings and codes differ in number of rows")
    cut = np.array([min(shortlist, len(retrieval.database))], dtype=np.int64)
    found = 0.0
    for block in retrieval.blocks([ranking], int(cut[0])):
        found += float(block.groups[ranking].expected_relevant(cut).sum())
    return found / (k * len(retrieval))
