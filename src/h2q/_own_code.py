"""Names of code of one's own, ``package.module:Name``; imported for a caller, never for a file."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Collection
from typing import Any, Final

from h2q.errors import InvalidInputError

#: Environment variable: names, with commas between them, that files may name too.
TRUSTED: Final = "H2Q_TRUSTED"
_NAME: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
#: What stands before a colon and is no module: names of timm and of pytorch-metric-learning.
_PREFIXES: Final = ("timm:", "pml:")


def names_code(name: object) -> bool:
    """Whether this is ``package.module:Name``.

    Examples
    --------
    >>> names_code("nets.small:Small"), names_code("resnet50"), names_code("pml:TripletMarginLoss")
    (True, False, False)
    """
    return (
        isinstance(name, str)
        and not name.startswith(_PREFIXES)
        and _NAME.fullmatch(name) is not None
    )


def code_name(thing: Any) -> str:
    """Return ``package.module:Name`` of a class or function."""
    return f"{thing.__module__}:{getattr(thing, '__qualname__', type(thing).__qualname__)}"


def import_code(name: str, what: str) -> Any:
    """Import what the caller names.

    Parameters
    ----------
    name : str
        ``package.module:Name``.
    what : str
        What it should be, for the message: "quantizer".

    Raises
    ------
    InvalidInputError
        If it cannot be imported, whatever its module raises.
    """
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:  # a module of somebody's raises what it likes
        raise InvalidInputError(
            f"the {what} {name!r} cannot be imported ({type(error).__name__}: {error}); write "
            "package.module:Name, with the package on PYTHONPATH"
        ) from error
    return found


def is_trusted(name: str, also: Collection[str] = ()) -> bool:
    """Whether the caller said, here or in `TRUSTED`, that a file may name this code."""
    return name in also or name in [each.strip() for each in os.getenv(TRUSTED, "").split(",")]
