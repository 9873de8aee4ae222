r"""The mean put back into scores of rotated rows.

Where a quantizer centres, an expected row behind a code (`h2q.CodeDecoder`) is one of *centred*
rotated rows z of length :math:`\sqrt k`. With the mean μ, the map P from rows to rotated rows and
the usual length α of what is rotated, it stands for :math:`\hat x = \mu + \alpha P z`, so

.. math::
    \langle q, \hat x \rangle = \langle q, \mu \rangle + \alpha \langle P^\top q, z \rangle, \qquad
    \lVert \hat x \rVert^2 = \lVert \mu \rVert^2 + 2 \alpha \langle P^\top \mu, z \rangle
    + \alpha^2 k .

α is what the quantizer's own decoder gives a bit on average. Nothing is stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from h2q.ranks.reconstructed import own_decoder

#: Made once for each decoder of a quantizer.
_made: Final[WeakKeyDictionary[Any, Uncentred]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Uncentred:
    """What brings rotated rows of one quantizer back to uncentred ones.

    Attributes
    ----------
    matrix : ndarray of shape (d, k), float64
        αP.
    mean : ndarray of shape (d,), float64
    along : ndarray of shape (k,), float64
        2 α P'μ.
    square : float
        ‖μ‖² + α² k.
    exponent : float
        γ, the power of the length in a score.
    """

    matrix: NDArray[np.float64]
    mean: NDArray[np.float64]
    along: NDArray[np.float64]
    square: float
    exponent: float

    @classmethod
    def of(cls, quantizer: Any) -> Self | Uncentred | None:
        """Return that of a quantizer that centres; None of any other, or of none."""
        decoder = own_decoder(quantizer)
        if decoder is None or not getattr(quantizer, "codes_are_signs", True):
            return None
        if decoder not in _made:
            components, rotation, mean = (
                _on_host(each)
                for each in (quantizer.components_, quantizer.rotation_, quantizer.mean_)
            )
            plain = components.T @ rotation
            k = plain.shape[1]
            length = float((decoder.weights_ * plain).sum()) / k
            matrix = length * plain
            square = float(mean @ mean) + length**2 * k
            _made[decoder] = cls(matrix, mean, 2 * mean @ matrix, square, decoder.exponent_)
        return _made[decoder]

    def prepared(self, given: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return αP'q (nq, k) and ⟨q, μ⟩ (nq,) of queries q, scaled to length 1."""
        rows = np.array(given, dtype=np.float64)
        rows /= np.abs(rows).max(axis=1, keepdims=True)
        rows /= np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        return rows @ self.matrix, rows @ self.mean

    def scores(
        self, row: NDArray[np.float64], offset: float, rotated: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Score one prepared query with rotated rows (c, k) of norm sqrt(k)."""
        # Not matrix products: equal rows must have equal scores wherever they stand.
        products = (rotated * row).sum(axis=1) + offset
        squares = (rotated * self.along).sum(axis=1) + self.square
        shortest = 1e-8 * self.square
        scores: NDArray[np.float32] = (
            products * np.maximum(squares, shortest) ** (-self.exponent / 2)
        ).astype(np.float32)
        return scores


def _on_host(array: Any) -> NDArray[np.float64]:
    """Return what a quantizer learned, which may be on a GPU."""
    there = array.detach().cpu() if hasattr(array, "detach") else array
    return np.asarray(there, dtype=np.float64)
