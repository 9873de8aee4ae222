"""A bounded uniform sample of a stream of rows, with their exact mean and covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.quantization.arrays import like, to_numpy, working_dtype
from h2q.quantization.moments import Moments


class RowStream:
    """Rows seen so far, as a reservoir sample and, where asked for, running moments.

    The sample is Vitter's Algorithm R (1985, https://doi.org/10.1145/3147.3165) drawn row by row,
    so it does not depend on how the rows were cut into batches: one array gives the sample that
    the same rows give as a stream. Up to `capacity` rows the sample is all of them, in order.

    Parameters
    ----------
    capacity : int
        Most rows kept.
    generator : numpy Generator
    with_moments : bool
        Also keep the exact mean and covariance of all rows (d x d floats).
    """

    def __init__(self, capacity: int, generator: np.random.Generator, *, with_moments: bool):
        self.n_seen = 0
        self._capacity = capacity
        self._generator = generator
        self._with_moments = with_moments
        self._moments: Moments | None = None
        self._chunks: list[NDArray[Any]] = []
        self._empty: Array = None

    def add(self, rows: Array) -> None:
        """Take in finite rows (n, d); what is kept is copied."""
        if self.n_seen == 0:
            xp = array_namespace(rows)
            dtype = working_dtype(rows)
            self._empty = xp.empty((0, rows.shape[1]), dtype=dtype, device=device(rows))
        n = rows.shape[0]
        if self._with_moments and self.n_seen + n > self._capacity:
            if self._moments is None:
                self._moments = Moments(rows.shape[1])
                self._moments.add(self.sample())
            self._moments.add(rows)
        fill = min(n, max(0, self._capacity - self.n_seen))
        if fill:
            self._chunks.append(self._copy(rows[:fill, :]))
        if n > fill:
            self._replace(rows, fill)
        self.n_seen += n

    def _replace(self, rows: Array, start: int) -> None:
        # Row t (counted from 0) takes the place of slot j = floor(u (t + 1)) if j is a slot.
        seen = np.arange(self.n_seen + start, self.n_seen + rows.shape[0])
        slots = (self._generator.random(seen.size) * (seen + 1)).astype(np.int64)
        chosen = np.flatnonzero(slots < self._capacity)
        # The last row drawn for a slot stays; each is fetched once, in the order of the input.
        last = {int(slots[i]): int(i) for i in chosen}
        sources = np.asarray(sorted((i, slot) for slot, i in last.items())).reshape(-1, 2)
        if len(sources):
            kept = self._kept()
            kept[sources[:, 1]] = self._copy(_take(rows, sources[:, 0] + start))

    def _copy(self, rows: Array) -> NDArray[Any]:
        xp = array_namespace(rows)
        return np.array(to_numpy(xp.astype(rows, self._empty.dtype)))

    def _kept(self) -> NDArray[Any]:
        if len(self._chunks) > 1:
            self._chunks = [np.concatenate(self._chunks)]
        return self._chunks[0]

    def sample(self) -> Array:
        """Return the rows kept, in the namespace and on the device of the first batch."""
        return like(self._kept(), self._empty) if self._chunks else self._empty

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean (d,) and covariance (d, d) of every row seen."""
        moments = self._moments
        if moments is None:
            moments = Moments(self._empty.shape[1])
            moments.add(self.sample())
        return moments.mean, moments.covariance


def _take(rows: Array, indices: NDArray[np.int64]) -> Array:
    xp = array_namespace(rows)
    return xp.take(rows, xp.asarray(indices, device=device(rows)), axis=0)
