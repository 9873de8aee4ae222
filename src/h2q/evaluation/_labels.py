"""Which database items are relevant to which queries: those that share a label."""

from __future__ import annotations

from typing import Protocol

from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._backend import NUMPY, Backend


class Relevance(Protocol):
    """Relevance of the database items, for a block of queries at a time."""

    def block(self, rows: slice) -> Array:
        """Relevance of every database item, shape (b, n)."""
        ...


class SharedLabel:
    """Relevant means: shares a label.

    Parameters
    ----------
    query_labels, database_labels : array, shape (nq,) and (n,), or (nq, c) and (n, c)
        Integer classes (0 and up) on both sides, also in a column (n, 1), or multi-hot 0/1 of
        two columns or more on both. A multi-hot row of
        zeros is relevant to nothing.
    backend : Backend
        Where the labels are brought.

    Raises
    ------
    InvalidInputError
        For labels of another kind, negative classes, or sides that do not match.
    """

    def __init__(
        self, query_labels: Array, database_labels: Array, backend: Backend = NUMPY
    ) -> None:
        query = _checked(query_labels, "query_labels", backend)
        database = _checked(database_labels, "database_labels", backend)
        if query.ndim != database.ndim or query.shape[1:] != database.shape[1:]:
            raise InvalidInputError(
                f"query_labels {tuple(query.shape)} and database_labels {tuple(database.shape)} do "
                "not match: give integer classes on both sides, or multi-hot rows of the same width"
            )
        self._multi = query.ndim == 2
        self._backend = backend
        self.query: Array = backend.as_words(query) if self._multi else query
        self.database: Array = backend.as_words(database) if self._multi else database

    def block(self, rows: slice) -> Array:
        """Return the relevance of every database item to the queries `rows`, shape (b, n)."""
        query = self.query[rows]
        if self._multi:
            return self._backend.shared(query, self.database)
        return query[:, None] == self.database[None, :]


def _checked(labels: Array, name: str, backend: Backend) -> Array:
    xp, array = backend.xp, backend.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1 and xp.isdtype(array.dtype, ("bool", "integral")):
        array = array[:, 0]  # class numbers in a column, as MATLAB has them
        array = xp.astype(array, xp.int64)
    if array.ndim == 1 and xp.isdtype(array.dtype, "integral"):
        if len(array) and int(xp.min(array)) < 0:
            raise InvalidInputError(
                f"{name}: classes must be 0 or more, found {int(xp.min(array))}; "
                "leave unlabelled items out"
            )
        return xp.astype(array, xp.int64)
    if (
        array.ndim == 2
        and array.shape[1] > 0
        and xp.isdtype(array.dtype, ("bool", "integral", "real floating"))
    ):
        if len(array) and not bool(xp.all((array == 0) | (array == 1))):
            raise InvalidInputError(f"{name}: multi-hot labels must be 0 or 1")
        return xp.astype(array, xp.bool)
    raise InvalidInputError(
        f"{name}: expected integer classes (n,) or multi-hot 0/1 (n, c), "
        f"got {array.dtype} of shape {tuple(array.shape)}"
    )
