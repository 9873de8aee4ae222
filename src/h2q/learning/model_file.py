"""A `Hasher` as one safetensors file, sufficient by itself; nothing in it is code.

The header's metadata states ``format`` "h2q", ``format_version``, ``kind`` "hasher" and, under
``hasher``, JSON: the backbone's architecture by name and arguments, its preprocessing, n_bits and
the training facts. The tensors are the state dict, and ``quantizer``: the bytes of the quantizer.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import safetensors.torch
import torch

from h2q import quantization
from h2q._files import write_whole
from h2q._foreign import parse_json, reading, size_of
from h2q._paths import as_path
from h2q._seal import check_seal, sealed
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.learning import backbones
from h2q.learning.backbones import BackboneSpec, Maker, Preprocessing
from h2q.learning.hasher import Hasher

FORMAT: Final = "h2q"
FORMAT_VERSION: Final = 1
KIND: Final = "hasher"
_QUANTIZER: Final = "quantizer"


def to_bytes(hasher: Hasher) -> bytes:
    """Return the model as the content of a file."""
    tensors: dict[str, torch.Tensor] = {}
    taken: set[int] = set()
    for name, tensor in hasher.state_dict().items():
        if not isinstance(tensor, torch.Tensor):
            raise InvalidInputError(
                f"the model cannot be saved: its {name} is a {type(tensor).__name__}; a model file "
                "holds tensors, so keep it in a buffer (register_buffer)"
            )
        plain = tensor.detach().cpu().contiguous()
        # Weights that share memory are written twice, and are the same again once loaded.
        plain = plain.clone() if plain.data_ptr() in taken else plain
        taken.add(plain.data_ptr())
        # A compiled network is the same network: what torch.compile put around it is left out.
        tensors[name.replace("_orig_mod.", "")] = plain
    preprocessing = hasher.preprocessing
    header = {
        "backbone": hasher.backbone.spec.to_dict(),
        "preprocessing": None if preprocessing is None else preprocessing.to_dict(),
        "n_bits": hasher.n_bits,
        "precision": hasher.precision,
        "facts": hasher.facts,
    }
    own = hasher.backbone
    _check_rebuilt(header, tensors, own.make if isinstance(own, backbones.OwnBackbone) else None)
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "kind": KIND,
        "hasher": json.dumps(header, sort_keys=True),
    }
    if hasher.quantizer is not None:
        data = hasher.quantizer.to_bytes()
        tensors[_QUANTIZER] = torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy())
    return sealed(safetensors.torch.save(tensors, metadata))


def check_round_trip(hasher: Hasher) -> None:
    """Raise `InvalidInputError`, before anything is learned, where the model could not be saved.

    A backbone of h2q is drawn up without memory; one of somebody's own is saved and loaded.
    """
    data = to_bytes(hasher)
    if isinstance(hasher.backbone, backbones.OwnBackbone):
        try:
            from_bytes(data, backbone=hasher.backbone.make)
        except FormatError as error:
            raise InvalidInputError(
                f"a model with the backbone {hasher.backbone.spec.name!r} could be saved but not "
                f"loaded again: {error}"
            ) from error


def _check_rebuilt(
    header: dict[str, Any], tensors: dict[str, torch.Tensor], make: Maker | None
) -> None:
    """Raise `InvalidInputError` where loading would build another network than the one saved."""
    wanted = _shapes(header, make)
    given = {name: tensor.shape for name, tensor in tensors.items()}
    changed = sorted(name for name in wanted | given if wanted.get(name) != given.get(name))
    if changed:
        raise InvalidInputError(
            f"the model cannot be saved: its file would name the backbone "
            f"{header['backbone']['name']!r} and a linear hash layer, and it has been changed from "
            f"that ({', '.join(changed[:3])}{', ...' if len(changed) > 3 else ''}); keep its "
            "state_dict with torch.save, or build the model of a backbone h2q knows"
        )


def from_bytes(data: bytes, source: str = "model", backbone: Maker | None = None) -> Hasher:
    """Inverse of `to_bytes`; `source` is what errors call it, `backbone` as in `Hasher.load`."""
    header = _header(data, source)
    check_seal(data, source)
    make = backbones.maker_of(header["backbone"], backbone, source)
    with reading(source, "a model of h2q"):
        tensors = safetensors.torch.load(data)
        stored = tensors.pop(_QUANTIZER, None)
        _check_size(header, tensors, len(data), make)
        hasher = _build(header, make)
        hasher.load_state_dict(tensors)
        if stored is not None:
            hasher.set_quantizer(quantization.from_bytes(stored.numpy().tobytes()))
    return hasher.eval()


def _build(header: dict[str, Any], make: Maker | None) -> Hasher:
    """Build the network, with random weights."""
    preprocessing = header["preprocessing"]
    backbone = backbones.rebuild(
        BackboneSpec(**header["backbone"]),
        None if preprocessing is None else Preprocessing.from_dict(preprocessing),
        make,
    )
    return Hasher(
        backbone,
        header["n_bits"],
        facts=header["facts"],
        precision=header.get("precision", "32"),  # files of before it was a choice
    )


def _shapes(header: dict[str, Any], make: Maker | None) -> dict[str, torch.Size]:
    """Shapes of the tensors of the network a header names, drawn up without memory.

    Somebody's own code need not bear that (it may read its weights), and is really built.
    """
    device = torch.device("meta" if make is None else "cpu")
    with torch.random.fork_rng(devices=[]), device:
        return {name: each.shape for name, each in _build(header, make).state_dict().items()}


def _check_size(
    header: dict[str, Any], tensors: dict[str, torch.Tensor], size: int, make: Maker | None
) -> None:
    """Raise unless the tensors are those of the network the header names, before it is built.

    A header of some hundred bytes may name a network of gigabytes, so it is drawn up without
    memory first.
    """
    for value in (header["n_bits"], *_numbers(header["backbone"].get("arguments", {}))):
        if not isinstance(value, bool) and not -size <= value <= size:
            raise ValueError(f"{value} is more than a file of {size:,} bytes can hold")
    expected = _shapes(header, make)
    found = {name: each.shape for name, each in tensors.items()}
    if expected != found:
        odd = sorted(expected.items() ^ found.items())[0][0]
        raise ValueError(f"its tensors do not fit its header: {odd}")
    for name, each in tensors.items():
        if each.is_floating_point() and not bool(torch.isfinite(each).all()):
            raise ValueError(f"the weights {name} hold numbers that are not finite")


def _numbers(value: Any) -> list[float]:
    """Return all numbers in nested lists and dicts."""
    if isinstance(value, dict):
        return _numbers(list(value.values()))
    if isinstance(value, list):
        return [number for each in value for number in _numbers(each)]
    return [value] if isinstance(value, int | float) else []


def save(hasher: Hasher, path: StrPath) -> None:
    """Write the file whole or not at all."""
    target = as_path(path)
    try:
        write_whole(target, to_bytes(hasher))
    except OSError as error:
        raise InvalidInputError(f"{target}: cannot write the model: {error}") from error


def load(path: StrPath, backbone: Maker | None = None) -> Hasher:
    """Read a model file."""
    file = as_path(path, "the model")
    try:
        size_of(file)
        data = file.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot read this model file: {error}") from error
    return from_bytes(data, str(path), backbone)


def _header(data: bytes, source: str) -> dict[str, Any]:
    """Check the metadata and return the model's own part of it."""
    foreign = f"{source}: not a model of h2q (train one with h2q train)"
    with reading(source, "a model of h2q", "train one with h2q train"):
        length = int.from_bytes(data[:8], "little")
        content = json.loads(data[8 : 8 + length])
        metadata = dict(content.get("__metadata__", {}))
        end = max(int(v["data_offsets"][1]) for k, v in content.items() if k != "__metadata__")
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
    header = parse_json(metadata.get("hasher", ""), source, "a model of h2q")
    fields = {"backbone": dict, "n_bits": int, "facts": dict, "preprocessing": dict | None}
    for field, kind in fields.items():
        if not isinstance(header, dict) or not isinstance(header.get(field), kind):
            raise FormatError(f"{foreign}: its header has no {field} of the right kind")
    found: dict[str, Any] = header
    return found
