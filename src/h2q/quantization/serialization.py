"""Quantizer files: safetensors with a JSON header, written whole or not at all.

The header's metadata holds ``format`` ("h2q"), ``format_version``, ``kind`` ("quantizer",
"hasher" for a network with its quantizer, "decoder") and ``quantizer``, JSON with the class, its
parameters and its plain learned attributes, and ``sha256``, the checksum of all the rest. The
arrays are the tensors. Nothing is pickled.
"""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from h2q._files import write_whole
from h2q._foreign import parse_json, reading, size_of
from h2q._paths import as_path
from h2q._seal import check_seal, sealed
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.quantization.arrays import check_array, to_numpy
from h2q.quantization.linear_map import LinearMap
from h2q.quantization.model import Model
from h2q.quantization.projection import Projection
from h2q.quantization.randomness import pack_random_state, unpack_random_state
from h2q.quantization.registry import CLASSES, QUANTIZERS

if TYPE_CHECKING:
    from h2q.quantization.base import BaseQuantizer

FORMAT = "h2q"
FORMAT_VERSION = 1

#: What rounding may do to a rotation; a damaged one is off by much more.
_ORTHOGONAL_WITHIN: Final = 1e-3

Tensors: TypeAlias = dict[str, NDArray[Any]]

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "check_array",
    "from_bytes",
    "load",
    "read_bytes",
    "read_header",
    "save",
    "to_bytes",
]


def to_bytes(quantizer: BaseQuantizer) -> bytes:
    """Return a fitted quantizer as the bytes of a safetensors file.

    Raises
    ------
    InvalidInputError
        If the class is not one of ours, or a parameter cannot be written as JSON.
    """
    name = type(quantizer).__name__
    if name not in CLASSES:
        raise InvalidInputError(f"only {sorted(CLASSES)} can be saved, not {name}")
    tensors = quantizer._to_tensors()
    parameters = quantizer.get_params(deep=False)
    parameters["random_state"] = pack_random_state(parameters["random_state"])
    names = getattr(quantizer, "feature_names_in_", None)
    description = {
        "class": name,
        "parameters": parameters,
        "n_bits": quantizer.n_bits_,
        "n_features_in": quantizer.n_features_in_,
        "n_samples_seen": quantizer.n_samples_seen_,
        "feature_names_in": None if names is None else [str(name) for name in names],
    }
    try:
        text = json.dumps(description, default=_plain)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"a parameter of {name} cannot be saved: {error}") from error
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "kind": "quantizer",
        "quantizer": text,
    }
    arrays = {key: np.ascontiguousarray(to_numpy(value)) for key, value in tensors.items()}
    return sealed(safetensors.numpy.save(arrays, metadata=metadata))


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is not a number, a string, a list or a dict")


def save(quantizer: BaseQuantizer, path: StrPath) -> None:
    """Write a fitted quantizer to `path`."""
    write_whole(path, to_bytes(quantizer))


def read_header(path: StrPath) -> dict[str, str]:
    """Read what a file of ours says of itself, without its arrays.

    Returns
    -------
    dict of str to str
        ``format``, ``format_version``, ``kind`` and more.

    Raises
    ------
    FormatError
        If the file is truncated, is not one of ours, or is newer than this version.
    """
    size = size_of(as_path(path))
    with Path(path).open("rb") as file:
        start = file.read(8)
        # No more than the file has, whatever its first bytes claim.
        metadata = _metadata(start + file.read(min(int.from_bytes(start, "little"), size)), path)
    with reading(path, "a safetensors file"), safetensors.safe_open(str(path), framework="numpy"):
        pass  # compares the size with the shapes
    return _check_header(metadata, str(path))


def _check_header(metadata: dict[str, str], name: str) -> dict[str, str]:
    if metadata.get("format") != FORMAT:
        raise FormatError(f"{name} is a safetensors file, but not one that h2q wrote")
    version = metadata.get("format_version", "")
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise FormatError(f"{name} states no format version: {version!r}")
    if int(version) > FORMAT_VERSION:
        raise FormatError(
            f"{name} has format version {version}, this h2q reads up to {FORMAT_VERSION}: "
            "upgrade with pip install -U h2q"
        )
    return metadata


def load(path: StrPath) -> Any:
    """Read a fitted quantizer from the file `save` wrote; `h2q.load` reads every kind of file.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    quantizer
        Its arrays are numpy; it takes rows of any namespace.

    Raises
    ------
    FormatError
        If the file is truncated, is not one of ours, holds something else, or was written by a
        newer version.
    """
    read_header(path)
    return _from_bytes(Path(path).read_bytes(), str(path))


def from_bytes(data: bytes) -> BaseQuantizer:
    """Read a quantizer from the bytes `to_bytes` gave.

    Raises
    ------
    FormatError
        As `load`.
    """
    return _from_bytes(bytes(data), "the stored quantizer")


def read_bytes(data: bytes, kind: str, name: str) -> tuple[dict[str, str], Tensors]:
    """Split the content of a file of ours into what it says of itself and its arrays.

    Parameters
    ----------
    data : bytes
    kind : str
        What it should hold: "quantizer", "decoder".
    name : str
        What errors call it.

    Raises
    ------
    FormatError
        If it is truncated, not ours, newer than this version, or of another kind.
    """
    with reading(name, "a safetensors file"):
        tensors = safetensors.numpy.load(data)
    header = _check_header(_metadata(data, name), name)
    if header.get("kind") != kind:
        raise FormatError(f"{name} holds a {header.get('kind')!r}, not a {kind}")
    check_seal(data, name)
    return header, tensors


def _from_bytes(data: bytes, name: str) -> BaseQuantizer:
    header, tensors = read_bytes(data, "quantizer", name)
    with reading(name, "a quantizer"):
        return _restore(json.loads(header["quantizer"]), tensors)


def differences(data: bytes, other: Any, *, by_name: bool) -> tuple[str, str] | None:
    """Compare a quantizer's file with one that is not fitted.

    Parameters
    ----------
    data : bytes
        What `to_bytes` gave.
    other : quantizer
        A length or a seed of None says nothing.
    by_name : bool
        Whether `other` was made by its name, which says the class and, say, the solver.

    Returns
    -------
    tuple of str or None
        Both, as a person would write them; None where they agree.
    """
    header, _ = read_bytes(data, "quantizer", "the stored quantizer")
    with reading("the stored quantizer", "a quantizer"):
        description = json.loads(header["quantizer"])
        kept, stated = str(description["class"]), dict(description["parameters"])
        stated["n_bits"] = int(description["n_bits"])
    wanted = type(other).__name__
    asked = other.get_params(deep=False)
    told = (
        {key for entry in QUANTIZERS.values() for key in entry.options} if by_name else set(asked)
    )
    if asked.get("n_bits") is None:
        told.discard("n_bits")
    seeds = asked.get("random_state"), stated.get("random_state")
    if not all(isinstance(seed, int | np.integer) for seed in seeds):
        told.discard("random_state")  # a generator has moved on since
    # A file that was written before there was such a parameter means its default.
    known = inspect.signature(type(other)).parameters
    stated = {name: known[name].default for name in asked if name in known} | stated
    unlike = [
        name
        for name, value in asked.items()
        if name in told and json.loads(json.dumps(value, default=_told)) != stated.get(name)
    ]
    if kept == wanted and not unlike:
        return None
    if kept != wanted:
        return f"a {kept}", f"a {wanted}"

    def written(values: dict[str, Any]) -> str:
        return f"{kept}({', '.join(f'{name}={values[name]!r}' for name in unlike)})"

    return written(stated), written(asked)


def _told(value: object) -> object:
    """Return a parameter as a file states it; one that none can state is unlike all."""
    try:
        return _plain(value)
    except TypeError:
        return str(value)


def _metadata(data: bytes, name: object) -> dict[str, str]:
    # The container starts with the length of its JSON header (safetensors has no call for bytes).
    length = int.from_bytes(data[:8], "little")
    header = parse_json(data[8 : 8 + length], name, "a safetensors file")
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FormatError(f"{name}: not a safetensors file: its metadata are no texts")
    return metadata


def _restore(description: dict[str, Any], tensors: Tensors) -> BaseQuantizer:
    name = description["class"]
    module = importlib.import_module(CLASSES[name])
    parameters = dict(description["parameters"])
    parameters["random_state"] = unpack_random_state(parameters["random_state"])
    quantizer: BaseQuantizer = getattr(module, name)(**parameters)
    k, d = int(description["n_bits"]), int(description["n_features_in"])
    if k < 1 or d < 1:
        raise ValueError(f"{k} bits of {d} features")
    quantizer._from_tensors(tensors, k, d)
    quantizer.n_bits_, quantizer.n_features_in_ = k, d
    quantizer.n_samples_seen_ = int(description["n_samples_seen"])
    names = description["feature_names_in"]
    if names is not None:
        if len(names) != d or not all(isinstance(name, str) for name in names):
            raise ValueError(f"{len(names)} feature names for {d} features")
        quantizer.feature_names_in_ = np.asarray(names, dtype=object)
    return quantizer


def model_of(tensors: Tensors, k: int, d: int) -> Model:
    """Make the learned part of a quantizer of a file's arrays.

    Raises
    ------
    ValueError, KeyError
        If an array is missing, or is not what it should be.
    """
    check_array(tensors, "rotation", (k, k))
    defect = np.abs(tensors["rotation"].T @ tensors["rotation"] - np.eye(k)).max()
    if defect > _ORTHOGONAL_WITHIN:
        raise ValueError(f"rotation is not orthogonal: off by {defect:.2g}")
    projection = None
    if k < d:
        check_array(tensors, "mean", (d,))
        check_array(tensors, "components", (k, d))
        projection = Projection(tensors["mean"], tensors["components"])
    history = {
        key.removeprefix("history."): values.tolist()
        for key, values in tensors.items()
        if key.startswith("history.")
    }
    learned = {
        key.removeprefix("decoder."): array
        for key, array in tensors.items()
        if key.startswith("decoder.")
    }
    decoder = LinearMap.from_tensors(learned, k, d) if learned else None
    return Model(tensors["rotation"], projection, history, decoder=decoder)
