"""Pillow's resizing for many images of one size at once, byte for byte, on a GPU.

Pillow resizes by rows and then by columns, each with whole-number weights of 22 bits and rounding
to bytes in between. So each pass is a product with a matrix. In float64 the products of bytes and
weights are exact; the result does not depend on the order in which they are summed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from h2q.learning.backbones.preprocessing import ToPixels

#: Bits of Pillow's weights.
_BITS = 32 - 8 - 2
#: Widest side of what is resized: a pass multiplies by a matrix of the two sides.
_WIDEST = 256


class BatchCut:
    """What `ToPixels` does without chance, for images in memory that have one size.

    Parameters
    ----------
    cut : ToPixels
    pixels : ndarray of uint8, shape (n, h, w) or (n, h, w, 3)
    device : torch.device
    """

    def __init__(self, cut: ToPixels, pixels: NDArray[np.uint8], device: torch.device) -> None:
        self._pixels, self._device = pixels, device
        middle = Image.fromarray(pixels[0])
        resized = cut.fit[0](middle).size if cut.fit else middle.size
        weights = (
            _weights(*sides, cut.resample.name) for sides in zip(middle.size, resized, strict=True)
        )
        self._across, self._down = (
            None if w is None else torch.from_numpy(w).to(device) for w in weights
        )
        height, width = cut.size
        self._top = round((resized[1] - height) / 2.0)
        self._left = round((resized[0] - width) / 2.0)
        self._size = cut.size

    @classmethod
    def made(
        cls, cut: ToPixels, pixels: NDArray[np.uint8], device: torch.device
    ) -> BatchCut | None:
        """Return one that gives Pillow's bytes on the first and last image; None if none does."""
        channels = 1 if cut.mode == "L" else 3
        fits = len(pixels) > 0 and max(pixels.shape[1:3]) <= _WIDEST
        if not fits or (pixels.shape[3] if pixels.ndim == 4 else 1) != channels:
            return None
        try:
            one = cls(cut, pixels, device)
            ends = np.array([0, len(pixels) - 1])
            wanted = np.stack([cut(Image.fromarray(pixels[i])) for i in ends])
            same = np.array_equal(one(ends).cpu().numpy(), wanted)
        except (ValueError, RuntimeError, KeyError):  # a size, or a filter, it does not know
            return None
        return one if same else None

    def __call__(self, rows: NDArray[np.int64] | slice) -> torch.Tensor:
        """Return the bytes of some images, uint8 (n, height, width, channels), on the device."""
        x = torch.from_numpy(np.ascontiguousarray(self._pixels[rows]))
        if self._device.type == "cuda":
            x = x.pin_memory()  # else the copy waits for all that the GPU has to do before
        x = x.to(self._device, non_blocking=True)
        if x.ndim == 3:
            x = x[..., None]
        x = x.permute(0, 3, 1, 2)
        if self._across is not None:
            x = _rounded(x.to(torch.float64).contiguous() @ self._across.T)
        if self._down is not None:
            x = _rounded(self._down @ x.to(torch.float64))
        height, width = self._size
        part = x[:, :, self._top : self._top + height, self._left : self._left + width]
        return part.permute(0, 2, 3, 1).to(torch.uint8).contiguous()


def _rounded(sums: torch.Tensor) -> torch.Tensor:
    return sums.mul_(2.0**-_BITS).add_(0.5).floor_().clamp_(0, 255)


@lru_cache(maxsize=64)
def _weights(before: int, after: int, name: str) -> NDArray[np.float64] | None:
    """Pillow's weights of each pixel of the input for each of the output; None for no change."""
    if before == after:
        return None
    kernel, reach = _KERNELS[name]
    scale = before / after
    stretch = max(scale, 1.0)
    support = reach * stretch
    matrix = np.zeros((after, before))
    for place in range(after):
        centre = (place + 0.5) * scale
        first = max(0, int(centre - support + 0.5))
        last = min(before, int(centre + support + 0.5))
        row = [kernel((x - centre + 0.5) / stretch) for x in range(first, last)]
        total = sum(row)
        for x, weight in zip(range(first, last), row, strict=True):
            share = weight / total * (1 << _BITS)
            matrix[place, x] = int(share - 0.5) if share < 0 else int(share + 0.5)
    return matrix


def _triangle(x: float) -> float:
    return max(0.0, 1.0 - abs(x))


def _cubic(x: float) -> float:
    a, x = -0.5, abs(x)
    if x < 1.0:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    if x < 2.0:
        return (((x - 5) * x + 8) * x - 4) * a
    return 0.0


_KERNELS = {"BILINEAR": (_triangle, 1.0), "BICUBIC": (_cubic, 2.0)}
