"""Which database items are relevant to which queries: those that share a label."""

from __future__ import annotations

from typing import Any, Protocol

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.errors import InvalidInputError


class Relevance(Protocol):
    """Relevance of the database items, for a block of queries at a time."""

    def block(self, rows: slice) -> NDArray[np.bool_]:
        """Relevance of every database item, shape (b, n)."""
        ...


class SharedLabel:
    """Relevant means: shares a label.

    Parameters
    ----------
    query_labels, database_labels : array, shape (nq,) and (n,), or (nq, c) and (n, c)
        Integer classes (0 and up) on both sides, or multi-hot 0/1 on both. A multi-hot row of
        zeros is relevant to nothing.

    Raises
    ------
    InvalidInputError
        For labels of another kind, negative classes, or sides that do not match.
    """

    def __init__(self, query_labels: Array, database_labels: Array) -> None:
        query = _checked(query_labels, "query_labels")
        database = _checked(database_labels, "database_labels")
        if query.ndim != database.ndim or query.shape[1:] != database.shape[1:]:
            raise InvalidInputError(
                f"query_labels {query.shape} and database_labels {database.shape} do not match: "
                "give integer classes on both sides, or multi-hot rows of the same width"
            )
        self._multi = query.ndim == 2
        self.query: NDArray[Any] = _as_words(query) if self._multi else query
        self.database: NDArray[Any] = _as_words(database) if self._multi else database

    def block(self, rows: slice) -> NDArray[np.bool_]:
        """Return the relevance of every database item to the queries `rows`, shape (b, n)."""
        query = self.query[rows]
        if not self._multi:
            return np.asarray(query[:, None] == self.database[None, :])
        relevant = np.zeros((len(query), len(self.database)), dtype=np.bool_)
        for word in range(query.shape[1]):
            relevant |= (query[:, None, word] & self.database[None, :, word]) != 0
        return relevant


def as_numpy(array: Array) -> NDArray[Any]:
    """Return any array (torch on any device included) as a numpy array."""
    if not isinstance(array, np.ndarray) and array_api_compat.is_torch_array(array):
        array = array.detach().cpu()
        if array.is_floating_point() and array.itemsize < 4:  # numpy has no bfloat16
            array = array.float()
    return np.asarray(array)


def _checked(labels: Array, name: str) -> NDArray[Any]:
    array = as_numpy(labels)
    if array.ndim == 1 and array.dtype.kind in "iu":
        if array.size and array.min() < 0:
            raise InvalidInputError(
                f"{name}: classes must be 0 or more, found {array.min()}; "
                "leave unlabelled items out"
            )
        return array.astype(np.int64)
    if array.ndim == 2 and array.shape[1] > 0 and array.dtype.kind in "biuf":
        if array.size and not bool(((array == 0) | (array == 1)).all()):
            raise InvalidInputError(f"{name}: multi-hot labels must be 0 or 1")
        return array.astype(np.bool_)
    raise InvalidInputError(
        f"{name}: expected integer classes (n,) or multi-hot 0/1 (n, c), "
        f"got {array.dtype} of shape {array.shape}"
    )


def _as_words(multi_hot: NDArray[np.bool_]) -> NDArray[np.uint64]:
    packed = np.packbits(multi_hot, axis=1)
    return np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8))).view(np.uint64)
