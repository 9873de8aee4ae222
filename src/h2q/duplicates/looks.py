"""How a photo looks, small enough to keep: hashes of its eight turns, and a thumbnail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._lazy import require

#: Length of the perceptual hash, in bits.
HASH_BITS: Final = 256
#: Sides of the grey thumbnail in which crops are looked for.
THUMBNAIL: Final = 32
_HASH_SIDE: Final = 16
_REDUCED: Final = 64  # what the hash reduces every photo to

#: The ways a photo can lie; the first is upright. Each is a transposition of pillow.
TURNS: Final[dict[str, Image.Transpose | None]] = {
    "upright": None,
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "turned by 180 degrees": Image.Transpose.ROTATE_180,
    "mirrored top to bottom": Image.Transpose.FLIP_TOP_BOTTOM,
    "turned by 90 degrees": Image.Transpose.ROTATE_90,
    "turned by 270 degrees": Image.Transpose.ROTATE_270,
    "mirrored and turned by 90 degrees": Image.Transpose.TRANSPOSE,
    "mirrored and turned by 270 degrees": Image.Transpose.TRANSVERSE,
}


@dataclass(frozen=True, eq=False)
class Look:
    """What is kept of how a photo looks.

    Attributes
    ----------
    width, height : int
        Of the upright photo, in pixels.
    hashes : ndarray of shape (8, 32), uint8
        Perceptual hash of the photo in each of `TURNS`.
    grey : ndarray of shape (32, 32), uint8
        The upright photo, stretched to a square.
    """

    width: int
    height: int
    hashes: NDArray[np.uint8]
    grey: NDArray[np.uint8]

    def to_bytes(self) -> bytes:
        """Return it as bytes of always the same length."""
        sizes = np.array([self.width, self.height], "<u4").tobytes()
        return sizes + self.hashes.tobytes() + self.grey.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Look:
        """Read what `to_bytes` wrote; `ValueError` for anything else."""
        n_hashes = len(TURNS) * HASH_BITS // 8
        if len(data) != 8 + n_hashes + THUMBNAIL**2:
            raise ValueError("not a look")
        width, height = np.frombuffer(data, "<u4", 2).tolist()
        values = np.frombuffer(data, np.uint8, offset=8)
        return cls(
            width,
            height,
            values[:n_hashes].reshape(len(TURNS), -1),
            values[n_hashes:].reshape(THUMBNAIL, THUMBNAIL),
        )


def look_of(image: Image.Image, size: tuple[int, int] | None = None) -> Look:
    """Look at an upright RGB photo (`h2q.images.read_image`).

    The hash is the pHash of the `imagehash` library with 256 bits: the signs, about their median,
    of the 16 x 16 lowest frequencies (DCT) of the photo reduced to 64 x 64 grey pixels.

    Parameters
    ----------
    image : PIL.Image.Image
    size : (int, int), optional
        Width and height of the photo, where `image` was decoded smaller.

    Raises
    ------
    MissingExtraError
        If `imagehash` is not installed.
    """
    phash: Any = require("imagehash", "photos").phash
    # As phash itself begins; every turn is one of these few pixels then.
    reduced = image.convert("L").resize((_REDUCED, _REDUCED), Image.Resampling.LANCZOS)
    hashes = [
        np.packbits(phash(turned(reduced, name), hash_size=_HASH_SIDE).hash) for name in TURNS
    ]
    grey = reduced.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    width, height = size or image.size
    return Look(width, height, np.stack(hashes), np.asarray(grey))


def turned(image: Image.Image, turn: str) -> Image.Image:
    """Turn an image in one of the ways of `TURNS`."""
    method = TURNS[turn]
    return image if method is None else image.transpose(method)
