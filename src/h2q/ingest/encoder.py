"""A trained model as indexing and searching use it: photos in, rotated rows and codes out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._lazy import require
from h2q._typing import CodeArray, StrPath
from h2q.codes import pack
from h2q.errors import InvalidInputError

if TYPE_CHECKING:
    from h2q.learning import Hasher


class Encoder(Protocol):
    """What indexing needs of a model."""

    @property
    def n_bits(self) -> int:
        """Length of a code."""

    @property
    def on_gpu(self) -> bool:
        """Whether the processors are free to prepare photos, in processes, while it encodes."""

    @property
    def batch_size(self) -> int:
        """How many photos are best encoded at a time."""

    def prepare(self, image: Image.Image, /) -> Any:
        """Turn an image into the network's input; called from many threads or processes."""

    def encode(self, prepared: Sequence[Any], /) -> CodeArray:
        """Code what `prepare` made: packed, one row an image."""

    def embed(self, prepared: Sequence[Any], /) -> NDArray[np.float32]:
        """Embed what `prepare` made: rows before rotation, one an image."""

    def rotate(self, rows: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Rotate rows: the signs are the codes."""


class PhotoEncoder:
    """Images to embeddings and codes, in the same way whoever asks.

    `prepare` is cheap to call from many threads; `embed` runs the network on what it made.

    Parameters
    ----------
    hasher : h2q.learning.Hasher
        A model that takes images.
    device : str
        "auto" takes a GPU where there is one.
    """

    def __init__(self, hasher: Hasher, device: str = "auto") -> None:
        import torch

        if hasher.preprocessing is None:
            raise InvalidInputError(
                "this model takes rows of features, not images; "
                "embed the photos with the model the features came from"
            )
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self.device = torch.device(device)
            self.hasher = hasher.eval().to(self.device)
        except (RuntimeError, AssertionError) as error:
            raise InvalidInputError(f"the device {device!r} cannot be used: {error}") from error
        self.n_bits = hasher.n_bits
        #: Photos a step: enough to fill a GPU.
        self.batch_size = 256 if self.on_gpu else 64
        self._pixels = hasher.preprocessing.pixels()

    @property
    def on_gpu(self) -> bool:
        """Whether the network runs beside the processors, which are then free for the photos."""
        return self.device.type == "cuda"

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        """Cut and resize an image: the bytes that the network's input is made from."""
        return self._pixels(image)

    def embed(self, prepared: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Run the network, in the model's precision: one row z (before rotation) an image."""
        import torch

        from h2q.learning import bulk

        shape = (len(prepared), *prepared[0].shape)
        batch = torch.empty(shape, dtype=torch.uint8, pin_memory=self.on_gpu)
        np.stack(prepared, out=batch.numpy())
        return bulk.run_batches(self.hasher, self.hasher.embed, [batch])

    def rotate(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale rows z to the sqrt(k) sphere and rotate them: the signs are the codes."""
        import torch

        with torch.inference_mode():
            rotated = self.hasher.rotate(torch.from_numpy(rows).to(self.device))
        out: NDArray[np.float32] = rotated.cpu().numpy()
        return out

    def encode(self, prepared: Sequence[NDArray[np.uint8]]) -> CodeArray:
        """Code prepared images: packed, one row an image."""
        codes: CodeArray = pack(self.rotate(self.embed(prepared)))
        return codes


def model_file(path: StrPath) -> Path:
    """Return the model file that `path` means: itself, or the one in a run folder.

    Raises
    ------
    InvalidInputError
        If there is none.
    """
    path = Path(path)
    if path.is_dir():
        inside = path / "model.safetensors"
        if not inside.is_file():
            raise InvalidInputError(
                f"{path} holds no model.safetensors; give a run folder of `h2q train` that has "
                "finished, or the model file"
            )
        return inside
    if not path.is_file():
        raise InvalidInputError(f"there is no model {path}; train one with `h2q train`")
    return path


def load_hasher(path: StrPath) -> Hasher:
    """Load a model from its file or from a run folder.

    Raises
    ------
    InvalidInputError
        If there is no such model.
    FormatError
        If the file is damaged or not a model.
    MissingExtraError
        If torch is not installed.
    """
    file = model_file(path)
    require("torch", "train")
    learning: Any = require("h2q.learning", "train")
    hasher: Hasher = learning.Hasher.load(file)
    return hasher
