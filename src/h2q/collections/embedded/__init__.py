"""The collection kept in one file: SQLite is the truth, the indexes in memory are derived."""

import importlib
import warnings
from types import ModuleType

from h2q.collections.embedded.collection import EmbeddedCollection
from h2q.collections.embedded.opening import open_embedded

__all__ = ["EmbeddedCollection", "open_embedded"]

#: Modules that became one; the old names work for one version.
_NOW = dict.fromkeys(("code_cache", "index_cache", "derived_file"), "derived") | {
    "guarding": "untrusted"
}


def __getattr__(name: str) -> ModuleType:
    if name not in _NOW:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        f"{__name__}.{name} is {_NOW[name]} now; the old name goes in the next version of h2q",
        DeprecationWarning,
        stacklevel=2,
    )
    return importlib.import_module(f"{__name__}.{_NOW[name]}")
