"""What turns photos into rows of features, whoever made it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q.encoders.kept import KeptEncoder


@runtime_checkable
class Encoder(Protocol):
    """Photos in, rows of real numbers out.

    `prepare` is called from many threads, or processes; `embed` from one at a time.
    """

    @property
    def name(self) -> str:
        """What `--encoder` takes to mean it."""

    @property
    def dimension(self) -> int:
        """Columns of a row."""

    @property
    def draft_side(self) -> int | None:
        """Shorter side in pixels that a JPEG may be decoded at (`h2q.images.read_photo`)."""

    @property
    def on_gpu(self) -> bool:
        """Whether the network runs beside the processors, which are then free for the photos."""

    def prepare(self, image: Image.Image, /) -> Any:
        """Turn an upright RGB image into the network's input."""

    def embed(self, prepared: Sequence[Any], /) -> NDArray[np.float32]:
        """Embed what `prepare` made: (n, dimension), one row an image."""

    @property
    def kept(self) -> KeptEncoder:
        """What a collection keeps of it, to find it again."""


@runtime_checkable
class TextEncoder(Protocol):
    """An encoder that understands words, too: rows of texts and of photos can be compared."""

    def embed_texts(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Embed texts: (n, dimension)."""
