"""Whether one photo shows a part of another: where it would have to lie, and how well it fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft

from h2q.duplicates.looks import Look

#: Smallest share of a photo's longer-cut side that a crop may keep.
LEAST_SHARE: Final = 0.4
_STEP: Final = 1.06  # between the sizes tried
_SIZES: Final = np.geomspace(
    LEAST_SHARE, 1.0, int(np.ceil(np.log(1 / LEAST_SHARE) / np.log(_STEP))) + 1
)
_FINE_SIDE: Final = 128
_FLAT: Final = 2.0  # grey levels: a window of less contrast fits anything and says nothing


@dataclass(frozen=True)
class Placed:
    """Where a part lies in a whole.

    Attributes
    ----------
    box : (float, float, float, float)
        Left, top, right and lower edge as shares of the whole's width and height.
    fit : float
        Correlation of the part with that window, -1 to 1.
    """

    box: tuple[float, float, float, float]
    fit: float


def coarse_place(whole: Look, part: Look) -> Placed:
    """Find where the thumbnail of `part` fits best in that of `whole`; some 0.2 ms.

    Parameters
    ----------
    whole, part : Look
    """
    shares = _shares(_ratio((whole.width, whole.height), (part.width, part.height)))
    picture = Image.fromarray(part.grey)
    return _best(whole.grey.astype(np.float32), picture, shares)


def fine_place(whole: Image.Image, part: Image.Image, near: Placed) -> Placed:
    """Place `part` in `whole` anew at 128 pixels, at sizes around those of `near`.

    Parameters
    ----------
    whole, part : PIL.Image.Image
    near : Placed
        By `coarse_place`.
    """
    scale = _FINE_SIDE / max(whole.size)
    size = (max(8, round(whole.width * scale)), max(8, round(whole.height * scale)))
    field = np.asarray(
        whole.convert("L").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0), np.float32
    )
    left, top, right, lower = near.box
    ratio = _ratio(whole.size, part.size)
    middle = ((right - left) / min(ratio, 1.0) + (lower - top) / min(1 / ratio, 1.0)) / 2
    shares = [
        share
        for share in _shares(ratio, middle * np.linspace(0.9, 1.1, 17))
        if max(share) <= 1.0 + 1e-9
    ]
    small = part.convert("L")
    small.thumbnail((_FINE_SIDE, _FINE_SIDE), Image.Resampling.LANCZOS)
    return _best(field, small, shares)


def cut(whole: Image.Image, place: Placed) -> Image.Image:
    """Cut the window of `place` out of the whole."""
    left, top, right, lower = place.box
    box = (
        round(left * whole.width),
        round(top * whole.height),
        max(round(left * whole.width) + 1, round(right * whole.width)),
        max(round(top * whole.height) + 1, round(lower * whole.height)),
    )
    return whole.crop(box)


def _ratio(whole: tuple[int, int], part: tuple[int, int]) -> float:
    """How much wider, against its height, the part is than the whole."""
    return (part[0] * whole[1]) / (part[1] * whole[0])


def _shares(ratio: float, sizes: NDArray[np.float64] | None = None) -> list[tuple[float, float]]:
    """Shares of the width and height a part of that shape can take, for each size."""
    sizes = _SIZES if sizes is None else sizes
    return [(size * min(ratio, 1.0), size * min(1 / ratio, 1.0)) for size in sizes.tolist()]


def _best(
    field: NDArray[np.float32], part: Image.Image, shares: list[tuple[float, float]]
) -> Placed:
    """Correlate the part, at each size, with every window of the field; take the best."""
    height, width = field.shape
    sizes = {(round(width * w), round(height * h)) for w, h in shares}
    sizes = {(w, h) for w, h in sizes if 8 <= w <= width and 8 <= h <= height}
    if not sizes:
        return Placed((0.0, 0.0, 1.0, 1.0), -1.0)
    ordered = sorted(sizes)
    kernels = np.zeros((len(ordered), height, width), np.float32)
    norms = np.zeros(len(ordered), np.float32)
    for row, (w, h) in enumerate(ordered):
        kernel = np.asarray(part.resize((w, h), Image.Resampling.BOX), np.float32)
        kernel = kernel - kernel.mean()
        norms[row] = np.sqrt((kernel**2).sum())
        kernels[row, :h, :w] = kernel
    products = fft.irfft2(fft.rfft2(field)[None] * np.conj(fft.rfft2(kernels)), s=(height, width))
    sums, squares = _integral(field), _integral(field.astype(np.float64) ** 2)
    best = Placed((0.0, 0.0, 1.0, 1.0), -1.0)
    for row, (w, h) in enumerate(ordered):
        n = w * h
        mean = _windows(sums, w, h) / n
        variance = np.maximum(_windows(squares, w, h) / n - mean**2, 0)
        contrast = np.sqrt(variance * n)
        bound = _FLAT * np.sqrt(n)
        if norms[row] < bound:
            continue
        fits = products[row, : height - h + 1, : width - w + 1] / (
            norms[row] * np.maximum(contrast, bound)
        )
        at = int(np.argmax(fits))
        y, x = divmod(at, fits.shape[1])
        if fits[y, x] > best.fit:
            box = (x / width, y / height, (x + w) / width, (y + h) / height)
            best = Placed(box, float(fits[y, x]))
    return best


def _integral(values: NDArray[np.floating]) -> NDArray[np.float64]:
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    table[1:, 1:] = values.cumsum(0, dtype=np.float64).cumsum(1)
    return table


def _windows(table: NDArray[np.float64], w: int, h: int) -> NDArray[np.float64]:
    return table[h:, w:] - table[:-h, w:] - table[h:, :-w] + table[:-h, :-w]
