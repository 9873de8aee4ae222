"""Deep hashing with Householder quantization (arXiv 2311.04207).

Images or embeddings become short binary codes, are stored, and are searched. Importing `h2q`
imports no torch; names below load their module when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from h2q._version import __version__

if TYPE_CHECKING:
    from h2q import duplicates
    from h2q._load import load
    from h2q.collections import open_collection
    from h2q.photos import open_photos
    from h2q.quantization import (
        CodeDecoder,
        HouseholderQuantizer,
        ITQQuantizer,
        LinearDecoder,
        LocalSearchQuantizer,
        RandomRotationQuantizer,
        SignQuantizer,
    )

_HOME = {
    "CodeDecoder": "h2q.quantization",
    "HouseholderQuantizer": "h2q.quantization",
    "ITQQuantizer": "h2q.quantization",
    "LinearDecoder": "h2q.quantization",
    "LocalSearchQuantizer": "h2q.quantization",
    "RandomRotationQuantizer": "h2q.quantization",
    "SignQuantizer": "h2q.quantization",
    "load": "h2q._load",
    "open_collection": "h2q.collections",
    "open_photos": "h2q.photos",
}

__all__ = [
    "CodeDecoder",
    "HouseholderQuantizer",
    "ITQQuantizer",
    "LinearDecoder",
    "LocalSearchQuantizer",
    "RandomRotationQuantizer",
    "SignQuantizer",
    "__version__",
    "duplicates",
    "load",
    "open_collection",
    "open_photos",
]


def __getattr__(name: str) -> Any:
    if name == "duplicates":  # the room is a function, too
        return importlib.import_module("h2q.duplicates")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'h2q' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
