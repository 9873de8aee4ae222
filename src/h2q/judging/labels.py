"""Whether labels let anything be judged."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q.errors import InvalidInputError


def check_relevant(query: NDArray[Any], database: NDArray[Any], name: str = "the labels") -> None:
    """Raise `InvalidInputError` where no query shares a label with anything it is searched among.

    Parameters
    ----------
    query, database : ndarray of shape (n,), integer classes, or (n, c), multi-hot
    name : str
        What has the labels, for the message.
    """
    query, database = np.asarray(query), np.asarray(database)
    if query.ndim != database.ndim or not len(query) or not len(database):
        return  # whoever judges says what is wrong
    if query.ndim == 1:
        shared = bool(np.isin(query, database).any())
    else:
        shared = bool((query.any(axis=0) & database.any(axis=0)).any())
    if not shared:
        raise InvalidInputError(
            f"{name}: none of the {len(query):,} queries has a label that one of the "
            f"{len(database):,} items searched among has, so nothing can be relevant; give labels "
            "that several items share (is each of them unique, such as a name or a number?)"
        )
