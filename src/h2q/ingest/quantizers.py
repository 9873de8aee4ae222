"""The quantizer of a file: a quantizer's own, or the one inside a model."""

from __future__ import annotations

from typing import Any

from h2q._files import is_sqlite
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.ingest.encoder import load_hasher
from h2q.quantization import load
from h2q.quantization.registry import QUANTIZERS, hint_at_name
from h2q.quantization.serialization import read_header


def load_quantizer(path: StrPath, *, or_name: bool = False) -> Any:
    """Load a fitted quantizer from what `h2q fit` wrote, from a model or from a run folder.

    Parameters
    ----------
    path : path
    or_name : bool
        Whether the caller takes a name of `h2q.quantization.QUANTIZERS` as well, for the message.

    Raises
    ------
    InvalidInputError
        If there is no such file, or the model has no quantizer.
    FormatError
        If the file is damaged or not one of ours.
    """
    path = as_path(path, "the quantizer")
    if not path.exists():
        if or_name:
            raise InvalidInputError(
                f"the quantizer {path} is neither a file nor one of {', '.join(QUANTIZERS)}"
                f"{hint_at_name(str(path)) or '; fit one with `h2q fit`'}"
            )
        raise InvalidInputError(f"there is no quantizer {path}; fit one with `h2q fit`")
    if is_sqlite(path):
        raise FormatError(
            f"{path} is a collection (or another SQLite file) and no quantizer; give the file that "
            "`h2q fit` wrote, or index into the collection, which codes by its own"
        )
    if not path.is_dir() and read_header(path).get("kind") != "hasher":
        return load(path)
    quantizer = load_hasher(path).quantizer
    if quantizer is None:
        raise InvalidInputError(f"the model {path} was trained without a quantizer")
    return quantizer
