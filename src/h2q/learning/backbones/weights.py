"""Weights from a local file, and what to say when they cannot be downloaded."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from h2q._typing import StrPath
from h2q.errors import InvalidInputError


def load_weights(network: nn.Module, path: StrPath) -> None:
    """Load a state dict into `network`; entries it does not have (the classifier) are left out.

    Parameters
    ----------
    network : nn.Module
        Changed in place.
    path : path-like
        ``.safetensors``, or a ``.pth``/``.pt`` state dict, which is read with
        ``weights_only=True``: tensors and plain values, never code.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, or lacks a weight of `network`.
    """
    source = Path(path).expanduser()
    state = _read(source)
    own = network.state_dict()
    missing = [name for name in own if name not in state]
    if missing:
        raise InvalidInputError(
            f"{source}: lacks {len(missing)} of the {len(own)} weights of this architecture "
            f"(the first is {missing[0]!r}); give a file saved from the same architecture"
        )
    try:
        network.load_state_dict({name: state[name] for name in own})
    except RuntimeError as error:
        raise InvalidInputError(f"{source}: weights of another shape: {error}") from error


def _read(source: Path) -> dict[str, torch.Tensor]:
    try:
        if source.suffix == ".safetensors":
            return load_file(source)
        state = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise InvalidInputError(f"{source}: cannot read these weights: {error}") from error
    except Exception as error:  # pickle.UnpicklingError and what a broken pickle may raise
        raise InvalidInputError(
            f"{source}: not a plain state dict ({type(error).__name__}); convert it to .safetensors"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise InvalidInputError(f"{source}: holds no state dict of tensors")
    return state


def cannot_download(name: str, error: Exception) -> InvalidInputError:
    """Make the error for weights that are neither here nor to be had."""
    return InvalidInputError(
        f"{name}: its weights are not on this machine and cannot be downloaded ({error}). Give a "
        f"local file (weights='PATH.safetensors' or .pth; --weights PATH), a timm folder "
        f"(backbone='local-dir:PATH'), or start from random weights (pretrained=False; "
        f"--set pretrained=false)"
    )
