"""Without labels: how many of the true neighbours a shortlist of codes holds."""

from __future__ import annotations

from typing import Any

from h2q._numbers import whole_number
from h2q._renamed import renamed
from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._backend import NUMPY, Backend, backend_for
from h2q.evaluation._sides import Decoder, UnitRows
from h2q.evaluation.ranking import Ranking, Retrieval


class TrueNeighbours:
    """Relevant means: among the `k` rows of the database nearest by cosine similarity.

    Parameters
    ----------
    query, database : array, shape (nq, d) and (n, d)
        Real embeddings, before any projection or quantization.
    k : int
        Number of true neighbours; which of several equally near rows counts is arbitrary.
    backend : Backend
        Where the embeddings are brought.
    """

    def __init__(self, query: Array, database: Array, k: int, backend: Backend = NUMPY) -> None:
        xp, arrays = backend.xp, [backend.asarray(query), backend.asarray(database)]
        for name, array in zip(("query", "database"), arrays, strict=True):
            if (
                array.ndim != 2
                or not xp.isdtype(array.dtype, "real floating")
                or not bool(xp.all(xp.isfinite(array)))
            ):
                raise InvalidInputError(
                    f"{name} embeddings must be finite real rows (n, d), "
                    f"got {array.dtype} of shape {tuple(array.shape)}"
                )
        if arrays[0].shape[1] != arrays[1].shape[1]:
            raise InvalidInputError(
                f"embeddings of {arrays[0].shape[1]} and {arrays[1].shape[1]} columns"
            )
        k = whole_number(k, "k", most=len(arrays[1]))
        self.k, self._backend = k, backend
        self._query, self._database = (UnitRows(array, backend=backend) for array in arrays)

    def __len__(self) -> int:
        return len(self._query)

    @property
    def n_database(self) -> int:
        """Rows of the database."""
        return len(self._database)

    def block(self, rows: slice) -> Array:
        """Return which database rows are true neighbours of the queries `rows`, shape (b, n)."""
        similarities = self._database.similarities(self._query.take(rows))
        return self._backend.nearest(similarities, self.k)


@renamed(ranking="rank")
def neighbour_recall(
    query: Array,
    database: Array,
    *,
    query_embeddings: Array | None = None,
    database_embeddings: Array | None = None,
    k: int = 10,
    shortlist: int = 100,
    rank: Ranking = "hamming",
    n_bits: int | None = None,
    decoder: Decoder | None = None,
    quantizer: Any = None,
) -> float:
    """Mean share of the true `k` nearest rows (cosine) found in a shortlist.

    Parameters
    ----------
    query, database : array
        Rotated real rows, or packed codes with `n_bits`: what is ranked. With `quantizer`, the real
        rows as they came.
    query_embeddings, database_embeddings : array, shape (nq, d) and (n, d), optional
        The embeddings the true neighbours are found among; `query` and `database` themselves by
        default, which must then be real. Give the originals where the codes are of a projection.
    k : int
        Number of true neighbours.
    shortlist : int
        Number of items retrieved.
    rank : str
        How the shortlist is ranked, by any of `h2q.ranks.RANKS` that the inputs allow; the value is
        expected over ties.
    n_bits : int, optional
        Length of packed codes.
    decoder, quantizer
        As in `average_precision`.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    InvalidInputError
        If `shortlist` or `k` is out of range, the embeddings are no finite real rows or do not
        match the codes, or the inputs do not allow the rank.
    """
    if shortlist < 1:
        raise InvalidInputError(f"shortlist must be 1 or more, got {shortlist}")
    shortlist = whole_number(shortlist, "shortlist")
    backend = backend_for(query, database)
    truth = TrueNeighbours(
        query if query_embeddings is None else query_embeddings,
        database if database_embeddings is None else database_embeddings,
        k,
        backend,
    )
    retrieval = Retrieval(query, database, truth, n_bits, decoder, quantizer)
    if len(truth) != len(retrieval) or truth.n_database != len(retrieval.database):
        raise InvalidInputError("embeddings and codes differ in number of rows")
    k, shortlist = truth.k, min(shortlist, len(retrieval.database))
    cut = backend.arange(1) + shortlist
    found: Array = 0.0
    for block in retrieval.blocks([rank], shortlist):
        found = found + backend.xp.sum(block.groups[rank].expected_relevant(cut))
    return float(found) / (k * len(retrieval))
