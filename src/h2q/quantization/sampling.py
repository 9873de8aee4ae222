"""A bounded uniform sample of a stream of rows, with their exact mean and covariance."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_torch_array
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.quantization.arrays import like, to_numpy, working_dtype
from h2q.quantization.moments import Moments
from h2q.quantization.sphere import blocks_of


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
        # numpy's, or torch's on the device of the rows: both assign to places in place.
        self._kept: Any = np.empty((0, 0))
        self._on_device = False
        self._reference: Array = None

    def add(self, rows: Array) -> None:
        """Take in finite rows (n, d); what is kept is copied."""
        n, d = rows.shape
        if self.n_seen == 0:
            xp = array_namespace(rows)
            dtype = working_dtype(rows)
            self._reference = xp.empty((0, d), dtype=dtype, device=device(rows))
            self._on_device = is_torch_array(rows)
            self._kept = self._reference if self._on_device else to_numpy(self._reference)
        elif array_namespace(rows) is not array_namespace(self._reference):
            rows = like(rows, self._reference)  # a stream may come from numpy and from torch
        if self._with_moments and self.n_seen + n > self._capacity:
            if self._moments is None:
                self._moments = Moments(d)
                self._moments.add(self.sample())
            self._moments.add(rows)
        self._reserve(min(self._capacity, self.n_seen + n))
        for block in blocks_of(rows):
            self._add_block(rows[block, :])

    def _reserve(self, n: int) -> None:
        held = self._kept.shape[0]
        if n > held:
            shape = (min(self._capacity, max(n, 2 * held)), self._reference.shape[1])
            if self._on_device:
                larger = self._reference.new_empty(shape)
            else:
                larger = np.empty(shape, dtype=self._kept.dtype)
            larger[:held] = self._kept
            self._kept = larger

    def _add_block(self, rows: Array) -> None:
        n = rows.shape[0]
        fill = min(n, max(0, self._capacity - self.n_seen))
        if fill:
            self._kept[self.n_seen : self.n_seen + fill] = self._as_kept(rows[:fill, :])
        # Row t (counted from 0) takes the place of slot j = floor(u (t + 1)) if j is a slot.
        seen = np.arange(self.n_seen + fill, self.n_seen + n)
        slots = (self._generator.random(seen.size) * (seen + 1)).astype(np.int64)
        # The last row drawn for a slot stays; each is fetched once, in the order of the input.
        drawn = np.flatnonzero(slots < self._capacity)
        last = np.full(self._capacity, -1)
        last[slots[drawn]] = drawn
        slot = np.flatnonzero(last >= 0)
        order = np.argsort(last[slot])
        places, source = slot[order], last[slot][order]
        if source.size:
            if self._on_device:
                places = like(places, self._kept, array_namespace(rows).int64)
            self._kept[places] = self._as_kept(_take(rows, source + fill))
        self.n_seen += n

    def _as_kept(self, rows: Array) -> Any:
        if self._on_device:
            return like(rows, self._reference)
        return to_numpy(array_namespace(rows).astype(rows, self._reference.dtype))

    def sample(self) -> Array:
        """Return the rows kept, in the namespace and on the device of the first batch."""
        kept = self._kept[: min(self.n_seen, self._capacity)]
        return kept if self._on_device else like(kept, self._reference)

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean (d,) and covariance (d, d) of every row seen."""
        moments = self._moments
        if moments is None:
            moments = Moments(self._reference.shape[1])
            moments.add(self.sample())
        return moments.mean, moments.covariance


def _take(rows: Array, indices: NDArray[np.int64]) -> Array:
    xp = array_namespace(rows)
    return xp.take(rows, xp.asarray(indices, device=device(rows)), axis=0)
