"""Centring, projection and rotation as one matrix and one offset, checked as cheaply as possible.

``(x - mean) @ components.T @ rotation == x @ matrix - offset``: one product instead of two and no
centred copy of the rows. The bits are the signs, which the scaling to the sphere does not change,
so coding skips it. What could go wrong is seen in the result: a row that holds NaN or infinity, is
zero, overflows, or loses its digits in the subtraction gives a squared length that is not finite
or not above a floor. Only such rows are looked at again, the long way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import array_api_compat
import numpy as np
from array_api_compat import array_namespace

from h2q._typing import Array
from h2q.quantization.arrays import like
from h2q.quantization.projection import Projection

#: A row shorter than this share of the offset has lost some 6 bits to the subtraction, or more.
_LEAST_SHARE: Final = 2.0**-6


@dataclass(frozen=True, slots=True)
class Affine:
    """Rows (n, d) to rotated rows (n, k), before the sphere.

    Attributes
    ----------
    matrix : array of shape (d, k)
    offset : array of shape (k,) or None
        Subtracted after the product; None where nothing is centred.
    floor : float
        Rows of a smaller squared length are doubtful.
    """

    matrix: Array
    offset: Array | None = None
    floor: float = 0.0

    @classmethod
    def of(cls, rotation: Array, projection: Projection | None) -> Affine:
        """Fold what a quantizer learned."""
        if projection is None:
            return cls(rotation)
        xp = array_namespace(rotation)
        matrix = xp.matmul(projection.components.T, rotation)
        offset = xp.matmul(projection.mean[None, :], matrix)[0, :]
        # The subtraction rounds by as much as what is subtracted, whichever directions are kept.
        lost = float(xp.sum(projection.mean * projection.mean)) * _LEAST_SHARE**2
        return cls(matrix, offset, lost)

    def like(self, reference: Array) -> Affine:
        """Return this map in the namespace, device and dtype of `reference`."""
        offset = None if self.offset is None else like(self.offset, reference)
        return Affine(like(self.matrix, reference), offset, self.floor)

    def uncentred(self) -> Affine:
        """Return this map without its offset."""
        return Affine(self.matrix)

    def apply(self, rows: Array) -> tuple[Array, Array]:
        """Map rows that have this map's namespace, device and dtype.

        Returns
        -------
        y : array of shape (n, k)
        doubtful : array of shape (n,), bool
            Rows whose result is not to be relied on: they may hold NaN or infinity, be zero, or
            have lost their digits.
        """
        xp = array_namespace(rows)
        if array_api_compat.is_torch_array(rows) and self.offset is not None:
            import torch

            y = torch.addmm(self.offset, rows, self.matrix, beta=-1)
        else:
            with np.errstate(over="ignore", invalid="ignore"):  # such rows are found below
                y = xp.matmul(rows, self.matrix)
                if self.offset is not None:
                    y -= self.offset
        squared = _squared_lengths(y)
        # Below the smallest normal number squares have lost digits of their own.
        least = max(self.floor, float(xp.finfo(y.dtype).smallest_normal))
        # NaN compares false.
        reliable = (squared > least) & (squared < float(xp.finfo(y.dtype).max))
        return y, ~reliable


def _squared_lengths(y: Array) -> Array:
    if array_api_compat.is_numpy_array(y):
        with np.errstate(over="ignore", invalid="ignore"):
            return np.einsum("ij,ij->i", y, y)
    xp = array_namespace(y)
    if array_api_compat.is_torch_array(y):
        return xp.linalg.vector_norm(y, axis=1) ** 2
    return xp.sum(y * y, axis=1)
