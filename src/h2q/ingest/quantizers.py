"""The quantizer of a file: a quantizer's own, or the one inside a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from h2q._typing import StrPath
from h2q.errors import InvalidInputError
from h2q.ingest.encoder import load_hasher
from h2q.quantization import load
from h2q.quantization.serialization import read_header


def load_quantizer(path: StrPath) -> Any:
    """Load a fitted quantizer from what `h2q fit` wrote, from a model or from a run folder.

    Raises
    ------
    InvalidInputError
        If there is no such file, or the model has no quantizer.
    FormatError
        If the file is damaged or not one of ours.
    """
    path = Path(path)
    if not path.exists():
        raise InvalidInputError(f"there is no quantizer {path}; fit one with `h2q fit`")
    if not path.is_dir() and read_header(path).get("kind") != "hasher":
        return load(path)
    quantizer = load_hasher(path).quantizer
    if quantizer is None:
        raise InvalidInputError(f"the model {path} was trained without a quantizer")
    return quantizer
