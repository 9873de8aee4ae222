"""Exact running mean and covariance."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.quantization.arrays import to_numpy
from h2q.quantization.sphere import row_blocks


class Moments:
    """Mean and covariance of rows that come in blocks, in float64.

    Blocks are centred by their own mean and merged (Chan, Golub & LeVeque 1983,
    https://doi.org/10.1080/00031305.1983.10483115), which loses no digits where the mean is far
    larger than the spread.

    Parameters
    ----------
    n_features : int
    """

    def __init__(self, n_features: int):
        self.count = 0
        self.mean: NDArray[np.float64] = np.zeros(n_features)
        self._scatter: NDArray[np.float64] = np.zeros((n_features, n_features))

    def add(self, rows: Array) -> None:
        """Take in rows (n, d) of any namespace."""
        xp = array_namespace(rows)
        for block in row_blocks(*rows.shape):
            values = xp.astype(rows[block, :], xp.float64)
            n = values.shape[0]
            mean = xp.mean(values, axis=0)
            values = values - mean[None, :]
            scatter = to_numpy(values.T @ values)
            step = to_numpy(mean) - self.mean
            total = self.count + n
            self._scatter += scatter + np.outer(step, step) * (self.count * n / total)
            self.mean = self.mean + step * (n / total)
            self.count = total

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance (d, d), divided by n - 1; zeros for a single row."""
        return self._scatter / max(1, self.count - 1)
