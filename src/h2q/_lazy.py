"""Import of optional dependencies, with an error that says what to install."""

from __future__ import annotations

import importlib
from types import ModuleType

from h2q.errors import MissingExtraError


def require(module: str, extra: str) -> ModuleType:
    """Import `module`, or say which extra of h2q brings it.

    Raises
    ------
    MissingExtraError
        If the module, or something it imports, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"this needs {module!r}, which could not be imported ({error}); "
            f"install it with: pip install 'h2q[{extra}]'"
        ) from error
