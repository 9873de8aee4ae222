"""A pretrained network of timm, without a hash layer: its features as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._lazy import require
from h2q.encoders.kept import KeptEncoder
from h2q.errors import InvalidInputError


class TimmEncoder:
    """Photos to rows by a network of timm.

    Parameters
    ----------
    name : str
        ``timm:NAME`` as timm knows it, or ``timm:local-dir:PATH`` for a folder with config.json
        and model.safetensors.
    device : str
        "auto" takes a GPU where there is one.

    Raises
    ------
    InvalidInputError
        If timm has no such network, or its weights cannot be had.
    MissingExtraError
        If torch or timm is not installed.
    """

    draft_side = None

    def __init__(self, name: str, device: str = "auto") -> None:
        torch = require("torch", "train")
        backbones: Any = require("h2q.learning.backbones", "train")
        self.device = torch_device(device)
        self._backbone = backbones.create(_bare(name)).eval().to(self.device)
        self.dimension = int(self._backbone.n_features)
        self._pixels = self._backbone.preprocessing.pixels()
        digest = hashlib.sha256(repr(self._backbone.preprocessing).encode())
        for key, tensor in sorted(self._backbone.state_dict().items()):
            digest.update(key.encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        self.kept = KeptEncoder(name, digest.hexdigest(), self.dimension)

    @property
    def name(self) -> str:
        """What `--encoder` takes to mean it."""
        return self.kept.name

    @property
    def on_gpu(self) -> bool:
        """Whether the network runs beside the processors."""
        return bool(self.device.type == "cuda")

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        """Cut and resize an upright RGB image: the bytes of which the device makes the input."""
        prepared: NDArray[np.uint8] = self._pixels(image)
        return prepared

    def embed(self, prepared: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Run the network: (n, dimension), one row an image."""
        import torch

        from h2q.learning import bulk

        batch = torch.from_numpy(np.stack(prepared))
        return bulk.run_batches(self._backbone, self._backbone, [batch])


def torch_device(device: str) -> Any:
    """Return a device of torch by its name; "auto" is a GPU where there is one.

    Raises
    ------
    InvalidInputError
        If there is no such device.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        raise InvalidInputError(f"the device {device!r} cannot be used: {error}") from error
    return found


def _bare(name: str) -> str:
    """Return the name as `h2q.learning.backbones` takes it, where timm's own need the mark."""
    bare = name.removeprefix("timm:")
    return bare if bare.startswith("local-dir:") else name
