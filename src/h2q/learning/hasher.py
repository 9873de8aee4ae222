"""The model: backbone, hash layer and rotation in one module."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from h2q import codes
from h2q._typing import StrPath
from h2q.errors import InvalidInputError
from h2q.learning import backbones, bulk
from h2q.learning.backbones import Backbone, Maker, Preprocessing
from h2q.quantization.registry import MOST_LEARNED_BITS

if TYPE_CHECKING:
    from h2q.datasets import Items


class Hasher(nn.Module):
    """Images (or features) to binary codes by both stages of H²Q (arXiv 2311.04207, sec. 3).

    ``x -> backbone -> hash layer -> z -> sqrt(k) z / |z| -> R -> sign``. Training shapes the
    backbone and the hash layer; the rotation R is found afterwards, without labels, by a
    quantizer of `h2q.quantization`, and changes no cosine.

    Parameters
    ----------
    backbone : Backbone or str
        What gives the features; a name goes to `h2q.learning.backbones.create`, with published
        weights where it has them.
    n_bits : int
        Length k of the code; the hash layer is linear, from the features to k values.
    quantizer : fitted quantizer of h2q, optional
        With k features in and k bits out; without one the code is the sign of z.
    facts : dict, optional
        What should travel with the model (loss, data set, validation mAP, ...); values that JSON
        can hold.
    precision : {"32", "tf32", "16", "bf16"}
        In which images are embedded, whether to fit, to index or to query; it travels with the
        model. In 16 bits a GPU is faster and some bits of some codes differ (`flipped_bits`).

    Examples
    --------
    >>> import torch
    >>> hasher = Hasher("digits-cnn", n_bits=16).eval()
    >>> images = torch.zeros(3, 1, 8, 8)
    >>> hasher.embed(images).shape, hasher.encode(images).shape
    (torch.Size([3, 16]), torch.Size([3, 2]))
    """

    rotation: torch.Tensor

    def __init__(
        self,
        backbone: Backbone | str,
        n_bits: int,
        *,
        quantizer: Any = None,
        facts: dict[str, Any] | None = None,
        precision: bulk.Precision = "32",
    ) -> None:
        super().__init__()
        if precision not in get_args(bulk.Precision):
            raise InvalidInputError(
                f"precision={precision!r}; expected one of {', '.join(get_args(bulk.Precision))}"
            )
        self.precision: bulk.Precision = precision
        if isinstance(n_bits, bool) or int(n_bits) != n_bits or n_bits < 1:
            raise InvalidInputError(f"n_bits must be a whole number of at least 1, got {n_bits!r}")
        if n_bits > MOST_LEARNED_BITS:
            raise InvalidInputError(
                f"n_bits must be at most {MOST_LEARNED_BITS:,}, got {n_bits:,}: the model holds a "
                "rotation of n_bits x n_bits numbers"
            )
        self.backbone = backbones.create(backbone) if isinstance(backbone, str) else backbone
        if not isinstance(self.backbone, Backbone):
            raise InvalidInputError(
                f"{type(backbone).__name__} is no backbone yet: make one of it by "
                "h2q.learning.backbones.own(module, preprocessing=... or n_inputs=...)"
            )
        self.n_bits = int(n_bits)
        self.hash_layer = nn.Linear(self.backbone.n_features, self.n_bits)
        self.register_buffer("rotation", torch.eye(self.n_bits))
        self.facts: dict[str, Any] = dict(facts or {})
        self._quantizer: Any = None
        if quantizer is not None:
            self.set_quantizer(quantizer)

    @property
    def preprocessing(self) -> Preprocessing | None:
        """What makes an image the backbone's input; None if the input is rows of features."""
        return self.backbone.preprocessing

    @property
    def quantizer(self) -> Any:
        """The quantizer whose rotation the model holds, or None."""
        return self._quantizer

    def set_quantizer(self, quantizer: Any) -> None:
        """Take the rotation of a fitted quantizer.

        Raises
        ------
        InvalidInputError
            If it is not fitted, or not from k values to k bits.
        """
        rotation = getattr(quantizer, "rotation_", None)
        if rotation is None:
            raise InvalidInputError(
                f"{type(quantizer).__name__} has no rotation_: fit it on the model's embeddings "
                f"(hasher.embed_items) first"
            )
        shape = (int(quantizer.n_features_in_), int(quantizer.n_bits_))
        if shape != (self.n_bits, self.n_bits):
            raise InvalidInputError(
                f"the quantizer makes {shape[1]} bits of {shape[0]} values, the model needs "
                f"{self.n_bits} of {self.n_bits}"
            )
        matrix = torch.as_tensor(np.asarray(rotation), dtype=self.rotation.dtype)
        self.rotation.copy_(matrix)
        self._quantizer = quantizer

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs to embeddings z, (n, k), before rotation."""
        z: torch.Tensor = self.hash_layer(self.backbone(x))
        return z

    def rotate(self, z: torch.Tensor) -> torch.Tensor:
        """Embeddings to rows on the sqrt(k) sphere, rotated; a row of zeros stays zero."""
        scale = math.sqrt(self.n_bits)
        return scale * nn.functional.normalize(z.to(self.rotation.dtype)) @ self.rotation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs to rotated rows, (n, k): their signs are the code."""
        return self.rotate(self.embed(x))

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs to packed codes, uint8 (n, ceil(k / 8)), MSB first."""
        with torch.no_grad():
            return cast("torch.Tensor", codes.pack(self(x)))

    def embed_items(
        self,
        items: Items,
        *,
        batch_size: int | None = None,
        num_workers: int | None = None,
        precision: bulk.Precision | None = None,
        progress: bool = False,
    ) -> NDArray[np.float32]:
        """Embed a split of a data set.

        Parameters
        ----------
        items : h2q.datasets.Items
            With features if the backbone is "features", else with images.
        batch_size : int, optional
            Items a step, 64 on processors and 256 on GPUs by default; only speed, memory and the
            last digits depend on it.
        num_workers : int, optional
            Processes that read images; chosen by the number of cores if None.
        precision : {"32", "tf32", "16", "bf16"}, optional
            Instead of the model's own, for this call alone. Rows and codes of another precision
            are others: use the model's for whatever is compared.
        progress : bool
            Show a bar on stderr.

        Returns
        -------
        ndarray of float32, shape (n, k)
            z, before rotation: what a quantizer is fitted on and what `rotate` takes.
        """
        return bulk.run(
            self,
            self.embed,
            items,
            batch_size=batch_size,
            num_workers=num_workers,
            precision=precision,
            description="embedding" if progress else None,
        )

    def embed_images(
        self,
        images: Iterable[Image.Image],
        *,
        batch_size: int = 64,
        precision: bulk.Precision | None = None,
    ) -> NDArray[np.float32]:
        """Embed images of any size and mode; shape (n, k), before rotation."""
        return bulk.run_images(self, self.embed, images, batch_size=batch_size, precision=precision)

    def flipped_bits(self, items: Items, precision: bulk.Precision) -> float:
        """Share of the bits of the items' codes that `precision` changes, against float32."""
        coder = codes.pack if self.quantizer is None else self.quantizer.transform
        one, other = (
            codes.unpack(coder(self.embed_items(items, precision=p)), self.n_bits)
            for p in ("32", precision)
        )
        return float(np.mean(one != other))

    def save(self, path: StrPath) -> None:
        """Write the model to one safetensors file that suffices to load it anywhere."""
        from h2q.learning import model_file

        model_file.save(self, path)

    @classmethod
    def load(cls, path: StrPath, *, backbone: Maker | None = None) -> Hasher:
        """Read a model written by `save`, on the CPU, ready to encode (`eval`).

        Parameters
        ----------
        path : path-like
        backbone : class or function, optional
            What makes the backbone, where it is one of your own: called with the arguments that
            the file states. A file makes h2q import no code: it is handed over here, or trusted
            (`h2q.learning.backbones.trust`, or ``H2Q_TRUSTED=package.module:Name``).

        Raises
        ------
        InvalidInputError
            If the backbone is code that was neither handed over nor trusted.
        FormatError
            If the file is truncated, is not a model of h2q, or is newer than this h2q.
        """
        from h2q.learning import model_file

        return model_file.load(path, backbone)

    def to_bytes(self) -> bytes:
        """Return the content of the file `save` writes."""
        from h2q.learning import model_file

        return model_file.to_bytes(self)

    @classmethod
    def from_bytes(cls, data: bytes, *, backbone: Maker | None = None) -> Hasher:
        """Inverse of `to_bytes`; `backbone` as in `load`."""
        from h2q.learning import model_file

        return model_file.from_bytes(data, backbone=backbone)
