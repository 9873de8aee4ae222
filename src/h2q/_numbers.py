"""Numbers that callers give, of Python, numpy or torch: no texts, no truth values."""

from __future__ import annotations

import math
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


def real_number(value: Any, name: str) -> float:
    """Return a finite number as a float of Python.

    Raises
    ------
    InvalidInputError
        If it is none, or not finite.
    """
    try:
        if isinstance(value, str | bytes) or type(value).__name__ in ("bool", "bool_"):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInputError(f"{name} must be a number, got {value!r:.80}") from None
    if not math.isfinite(number):
        raise InvalidInputError(f"{name} must be a finite number, got {value!r:.80}")
    return number
