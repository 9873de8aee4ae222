"""Whole numbers that callers give: of Python, numpy or torch, and no truth values or floats."""

from __future__ import annotations

import operator
from typing import Any

from h2q.errors import InvalidInputError


def whole_number(value: Any, name: str, *, least: int = 1, most: int | None = None) -> int:
    """Return a whole number as an int of Python.

    Parameters
    ----------
    value : object
    name : str
        What the message calls it.
    least, most : int
        The range it must be in.

    Raises
    ------
    InvalidInputError
        If it is none (`True`, 1.0 and "1" are none), or out of the range.

    Examples
    --------
    >>> import numpy as np
    >>> whole_number(np.int16(3), "k")
    3
    >>> whole_number(2.0, "k")
    Traceback (most recent call last):
    ...
    h2q.errors.InvalidInputError: k must be a whole number of at least 1, got 2.0
    """
    span = f"of at least {least}" if most is None else f"from {least} to {most:,}"
    try:
        if type(value).__name__ in ("bool", "bool_"):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise InvalidInputError(f"{name} must be a whole number {span}, got {value!r}") from None
    if number < least or (most is not None and number > most):
        raise InvalidInputError(f"{name} must be a whole number {span}, got {number:,}")
    return number
