"""What codes photos: a trained model, or an encoder with a quantizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._lazy import require
from h2q._paths import as_path
from h2q._typing import CodeArray, StrPath
from h2q.codes import pack
from h2q.errors import CompatibilityError, InvalidInputError

if TYPE_CHECKING:
    from h2q import encoders
    from h2q.learning import Hasher


class Encoder(Protocol):
    """What indexing and searching need of whatever turns photos into codes."""

    @property
    def n_bits(self) -> int:
        """Length of a code."""

    @property
    def dimension(self) -> int:
        """Columns of a row before rotation."""

    @property
    def on_gpu(self) -> bool:
        """Whether the processors are free to prepare photos, in processes, while it encodes."""

    @property
    def batch_size(self) -> int:
        """How many photos are best encoded at a time."""

    @property
    def draft_side(self) -> int | None:
        """Shorter side in pixels that a JPEG may be decoded at (`h2q.images.read_photo`)."""

    def prepare(self, image: Image.Image, /) -> Any:
        """Turn an image into the network's input; called from many threads or processes."""

    def embed(self, prepared: Sequence[Any], /) -> NDArray[np.float32]:
        """Embed what `prepare` made: rows before rotation, one an image."""

    def rotate(self, rows: NDArray[np.float32], /) -> NDArray[np.float32]:
        """Rotate rows, to (n, n_bits)."""

    def code(self, rows: NDArray[np.float32], /) -> CodeArray:
        """Code rows: packed, one an image."""

    def encode(self, prepared: Sequence[Any], /) -> CodeArray:
        """Embed and code what `prepare` made."""


class CodedEncoder:
    """An encoder that knows no codes, with the quantizer that was fitted on its rows.

    Parameters
    ----------
    encoder : h2q.encoders.Encoder
    quantizer : fitted quantizer
    """

    def __init__(self, encoder: encoders.Encoder, quantizer: Any) -> None:
        self.encoder, self._quantizer = encoder, quantizer
        self.n_bits, self.dimension = int(quantizer.n_bits_), encoder.dimension
        if quantizer.n_features_in_ != encoder.dimension:
            raise CompatibilityError(
                f"the quantizer takes rows of {quantizer.n_features_in_} numbers, the encoder "
                f"{encoder.name} gives {encoder.dimension}"
            )

    @property
    def draft_side(self) -> int | None:
        """Shorter side in pixels that a JPEG may be decoded at."""
        return self.encoder.draft_side

    @property
    def on_gpu(self) -> bool:
        """Whether the network runs beside the processors."""
        return self.encoder.on_gpu

    @property
    def batch_size(self) -> int:
        """How many photos are best encoded at a time."""
        return 256 if self.on_gpu else 64

    def prepare(self, image: Image.Image) -> Any:
        """Turn an image into the network's input."""
        return self.encoder.prepare(image)

    def embed(self, prepared: Sequence[Any]) -> NDArray[np.float32]:
        """Run the network: one row an image."""
        return self.encoder.embed(prepared)

    def rotate(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project and rotate rows, to (n, n_bits)."""
        return np.asarray(self._quantizer.rotate(rows), dtype=np.float32)

    def code(self, rows: NDArray[np.float32]) -> CodeArray:
        """Code rows: packed, one an image."""
        codes: CodeArray = self._quantizer.transform(rows)
        return codes

    def encode(self, prepared: Sequence[Any]) -> CodeArray:
        """Code prepared images: packed, one row an image."""
        return self.code(self.embed(prepared))


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

    #: Collections made by earlier versions were coded from whole pictures.
    draft_side = None

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
        self.n_bits = self.dimension = hasher.n_bits
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

    def code(self, rows: NDArray[np.float32]) -> CodeArray:
        """Code rows z: packed, one an image."""
        codes: CodeArray = pack(self.rotate(rows))
        return codes

    def encode(self, prepared: Sequence[NDArray[np.uint8]]) -> CodeArray:
        """Code prepared images: packed, one row an image."""
        return self.code(self.embed(prepared))


def model_file(path: StrPath) -> Path:
    """Return the model file that `path` means: itself, or the one in a run folder.

    Raises
    ------
    InvalidInputError
        If there is none.
    """
    path = as_path(path, "the model")
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
