"""Whether two photos are one picture, by their pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter

#: Longest side at which photos are compared. Two photos are compared at the smaller one's size.
SIDE: Final = 768
_CELL: Final = 8  # pixels: a local change is told from noise by the mean over a cell of this side


@dataclass(frozen=True)
class Difference:
    """How two pictures of one frame differ, in grey levels of 0 to 255.

    Attributes
    ----------
    overall : float
        Root of the mean square of the difference of luma.
    local : float
        Largest mean difference of luma over a cell of 8 x 8 pixels: what a date stamp, a moved
        hand or a retouched spot changes and compression does not.
    colour : float
        The same of chroma, over 16 x 16 pixels.
    """

    overall: float
    local: float
    colour: float

    def within(self, limits: Difference) -> bool:
        """Whether none of the three is above its limit."""
        return (
            self.overall <= limits.overall
            and self.local <= limits.local
            and self.colour <= limits.colour
        )


def difference(first: Image.Image, second: Image.Image) -> Difference:
    """Compare two pictures as if they showed the same frame.

    Both are reduced to the smaller one's size, at most 768 pixels on the longer side.

    Parameters
    ----------
    first, second : PIL.Image.Image
        RGB.
    """
    side = min(SIDE, max(first.size), max(second.size))
    scale = side / max(first.size)
    size = (max(1, round(first.width * scale)), max(1, round(first.height * scale)))
    delta = _channels(first, size) - _channels(second, size)
    luma, chroma = delta[..., 0], delta[..., 1:]
    local = np.abs(uniform_filter(luma, _CELL, mode="nearest")).max()
    colour = np.abs(uniform_filter(chroma, (2 * _CELL, 2 * _CELL, 0), mode="nearest")).max()
    return Difference(float(np.sqrt(np.mean(luma**2))), float(local), float(colour))


def same_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether two sizes can be of one frame: the same shape but for the rounding to pixels."""
    (w1, h1), (w2, h2) = first, second
    small = min(w1, h1, w2, h2)
    return bool(abs(np.log((w1 * h2) / (h1 * w2))) <= 1.5 / small + 0.005)


def _channels(image: Image.Image, size: tuple[int, int]) -> NDArray[np.float32]:
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(small.convert("YCbCr"), dtype=np.float32)
