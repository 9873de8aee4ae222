"""A `Hasher` as one safetensors file, sufficient by itself; nothing in it is code.

The header's metadata states ``format`` "h2q", ``format_version``, ``kind`` "hasher" and, under
``hasher``, JSON: the backbone's architecture by name and arguments, its preprocessing, n_bits and
the training facts. The tensors are the state dict, and ``quantizer``: the bytes of the quantizer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from h2q import quantization
from h2q._files import write_whole
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.learning import backbones
from h2q.learning.backbones import BackboneSpec, Preprocessing
from h2q.learning.hasher import Hasher

FORMAT: Final = "h2q"
FORMAT_VERSION: Final = 1
KIND: Final = "hasher"
_QUANTIZER: Final = "quantizer"


def to_bytes(hasher: Hasher) -> bytes:
    """Return the model as the content of a file."""
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in hasher.state_dict().items()
    }
    if hasher.quantizer is not None:
        data = hasher.quantizer.to_bytes()
        tensors[_QUANTIZER] = torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy())
    preprocessing = hasher.preprocessing
    header = {
        "backbone": hasher.backbone.spec.to_dict(),
        "preprocessing": None if preprocessing is None else preprocessing.to_dict(),
        "n_bits": hasher.n_bits,
        "precision": hasher.precision,
        "facts": hasher.facts,
    }
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "kind": KIND,
        "hasher": json.dumps(header, sort_keys=True),
    }
    return safetensors.torch.save(tensors, metadata)


def from_bytes(data: bytes, source: str = "model") -> Hasher:
    """Inverse of `to_bytes`; `source` is what errors call it."""
    header = _header(data, source)
    try:
        tensors = safetensors.torch.load(data)
        preprocessing = header["preprocessing"]
        backbone = backbones.rebuild(
            BackboneSpec(**header["backbone"]),
            None if preprocessing is None else Preprocessing.from_dict(preprocessing),
        )
        hasher = Hasher(
            backbone,
            header["n_bits"],
            facts=header["facts"],
            precision=header.get("precision", "32"),  # files of before it was a choice
        )
        stored = tensors.pop(_QUANTIZER, None)
        hasher.load_state_dict(tensors)
        if stored is not None:
            hasher.set_quantizer(quantization.from_bytes(stored.numpy().tobytes()))
    except (SafetensorError, KeyError, TypeError, RuntimeError, InvalidInputError) as error:
        raise FormatError(f"{source}: its tensors do not fit its header: {error}") from error
    return hasher.eval()


def save(hasher: Hasher, path: StrPath) -> None:
    """Write the file whole or not at all."""
    target = Path(path)
    try:
        write_whole(target, to_bytes(hasher))
    except OSError as error:
        raise InvalidInputError(f"{target}: cannot write the model: {error}") from error


def load(path: StrPath) -> Hasher:
    """Read a model file."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot read this model file: {error}") from error
    return from_bytes(data, str(path))


def _header(data: bytes, source: str) -> dict[str, Any]:
    """Check the metadata and return the model's own part of it."""
    foreign = f"{source}: not a model of h2q (train one with h2q train)"
    try:
        length = int.from_bytes(data[:8], "little")
        content = json.loads(data[8 : 8 + length])
        metadata = content.get("__metadata__", {})
        end = max((v["data_offsets"][1] for k, v in content.items() if k != "__metadata__"))
    except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
        raise FormatError(f"{foreign}, or truncated: {error}") from error
    if metadata.get("format") != FORMAT or metadata.get("kind") != KIND:
        kind = metadata.get("kind")
        raise FormatError(f"{foreign}; it is {f'a {kind!r}' if kind else 'of another program'}")
    try:
        version = int(metadata["format_version"])
    except (KeyError, ValueError) as error:
        raise FormatError(f"{foreign}: it states no format version") from error
    if version > FORMAT_VERSION:
        raise FormatError(
            f"{source}: format version {version} is newer than this h2q reads "
            f"({FORMAT_VERSION}); update h2q"
        )
    if len(data) != 8 + length + end:
        raise FormatError(
            f"{source}: truncated: {len(data)} bytes where the header announces "
            f"{8 + length + end}; copy the file again"
        )
    try:
        header: dict[str, Any] = json.loads(metadata["hasher"])
    except (KeyError, ValueError) as error:
        raise FormatError(f"{foreign}: broken header: {error}") from error
    return header
