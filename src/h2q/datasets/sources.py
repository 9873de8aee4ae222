"""Where the images of a split come from: files read when asked for, or pixels in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._typing import IntArray, StrPath
from h2q.errors import InvalidInputError


class ImageSource(Protocol):
    """Images by position; reading happens in `__getitem__`, so workers can share one source."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Image.Image:
        """Image at `index`, mode RGB or L."""
        ...

    def take(self, indices: IntArray) -> ImageSource:
        """Return the images at `indices`, in that order, as a source of their own."""
        ...


class ImageFiles:
    """Image files, each read (safely, as RGB) when it is asked for.

    Parameters
    ----------
    paths : sequence of path-like
        One file an item.

    Raises
    ------
    h2q.errors.ImageError
        By `source[i]`, if file `i` cannot be read or is too large to be read safely.
    """

    def __init__(self, paths: Sequence[StrPath]) -> None:
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int, /) -> Image.Image:
        from h2q.images import read_image

        return read_image(self.paths[index])

    def take(self, indices: IntArray) -> ImageFiles:
        """Return the files at `indices`."""
        return ImageFiles([self.paths[i] for i in indices])


class ImageArray:
    """Pixels in memory.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (n, h, w), (n, h, w, 1) or (n, h, w, 3)
        Greyscale or RGB, 0 to 255.

    Raises
    ------
    InvalidInputError
        If the array has another dtype or shape.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        if pixels.ndim == 4 and pixels.shape[3] == 1:
            pixels = pixels[..., 0]
        if pixels.dtype != np.uint8 or not (
            pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[3] == 3)
        ):
            raise InvalidInputError(
                f"images must be uint8 of shape (n, h, w) or (n, h, w, 3), "
                f"got {pixels.dtype} of shape {pixels.shape}"
            )
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int, /) -> Image.Image:
        return Image.fromarray(self.pixels[index])

    def take(self, indices: IntArray) -> ImageArray:
        """Return the images at `indices` (a copy)."""
        return ImageArray(self.pixels[indices])
