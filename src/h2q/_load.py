"""Any file of h2q, read by what it says it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from h2q._files import is_sqlite
from h2q._lazy import require
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.quantization import decoder_from_bytes
from h2q.quantization import load as load_quantizer
from h2q.quantization.serialization import read_header


def load(path: StrPath, *, backbone: Callable[..., Any] | None = None) -> Any:
    """Read what `save` wrote: a quantizer, a decoder, or a model (a network with its quantizer).

    Parameters
    ----------
    path : str or path
    backbone : class or function, optional
        What makes the backbone of a model, where it is one of your own (`Hasher.load`).

    Returns
    -------
    quantizer, CodeDecoder, LinearDecoder or h2q.learning.Hasher
        A quantizer's arrays are numpy; it takes rows of any namespace.

    Raises
    ------
    FormatError
        If the file is truncated, is not one of ours, or was written by a newer version.
    MissingExtraError
        If it holds a model and torch is not installed.
    """
    file = as_path(path)
    if file.is_dir():
        raise InvalidInputError(
            f"{path} is a folder; give the file in it (of a run: {file / 'model.safetensors'})"
        )
    if is_sqlite(file):
        raise FormatError(
            f"{path} is a collection (or another SQLite file) and not a safetensors file; "
            f"open it with h2q.open_collection({str(path)!r})"
        )
    kind = read_header(file).get("kind")
    if backbone is not None and kind != "hasher":
        raise InvalidInputError(f"{path} is a {kind} and no model; leave backbone= out")
    if kind == "decoder":
        return decoder_from_bytes(Path(path).read_bytes(), str(path))
    if kind == "hasher":
        return require("h2q.learning", "train").Hasher.load(path, backbone=backbone)
    return load_quantizer(path)
