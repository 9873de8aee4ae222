"""Parameters that had another name: they work for one version more, with a warning."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def renamed(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function be called with old names of its parameters, given as ``old="new"``.

    Examples
    --------
    >>> @renamed(ranking="rank")
    ... def f(*, rank="hamming"):
    ...     return rank
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     f(ranking="cosine"), str(caught[0].message)
    ('cosine', "f: 'ranking' is called 'rank' now; the old name goes with the next version")
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for old, new in names.items():
                if old in kwargs:
                    if new in kwargs:
                        raise TypeError(f"{function.__name__}: give {new!r} alone, not {old!r} too")
                    warnings.warn(
                        f"{function.__name__}: {old!r} is called {new!r} now; the old name goes "
                        "with the next version",
                        DeprecationWarning,
                        stacklevel=2,
                    )
                    kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate
