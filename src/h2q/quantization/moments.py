"""Exact running mean and covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.quantization.arrays import to_numpy, working_dtype

#: Entries summed at a time: more would only leave the cache.
_BLOCK_ENTRIES = 1 << 19


class Moments:
    """Mean and covariance of rows that come in blocks.

    Sums within a block are in float64 for rows of that precision, else in float32, over rows few
    enough to lose nothing that float32 rows hold; sums over blocks are in float64. Blocks are
    centred by their own mean and merged (Chan, Golub & LeVeque 1983,
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
        dtype = working_dtype(rows)
        step = max(self.mean.shape[0], _BLOCK_ENTRIES // self.mean.shape[0])
        for start in range(0, rows.shape[0], step):
            values = xp.astype(rows[start : start + step, :], dtype)
            shift = xp.mean(values, axis=0)
            values = values - shift[None, :]
            # What rounding left of the mean after centring, which is small, is known well.
            rest = to_numpy(xp.mean(values, axis=0)).astype(np.float64)
            scatter = to_numpy(values.T @ values).astype(np.float64)
            n = values.shape[0]
            self._merge(n, to_numpy(shift) + rest, scatter - n * np.outer(rest, rest))

    def _merge(self, n: int, mean: NDArray[Any], scatter: NDArray[np.float64]) -> None:
        step = mean - self.mean
        total = self.count + n
        self._scatter += scatter + np.outer(step, step) * (self.count * n / total)
        self.mean = self.mean + step * (n / total)
        self.count = total

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance (d, d), divided by n - 1; zeros for a single row."""
        return self._scatter / max(1, self.count - 1)
