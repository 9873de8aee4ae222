"""Principal components in front of the rotation, where there are more columns than bits."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.quantization.arrays import like


@dataclass(frozen=True, slots=True)
class Projection:
    """Centring, then the leading principal directions.

    Attributes
    ----------
    mean : array of shape (d,)
        Subtracted from each row. An inner product of raw rows is that of centred rows plus
        ``<mean, x>``, the offset that rankings of raw inner products add back.
    components : array of shape (n_bits, d)
        Orthonormal rows, the direction of most variance first.
    """

    mean: Array
    components: Array

    def like(self, reference: Array) -> Projection:
        """Return this projection in the namespace, device and dtype of `reference`."""
        return Projection(like(self.mean, reference), like(self.components, reference))

    def apply(self, rows: Array) -> Array:
        """Map rows (n, d) of this projection's namespace, device and dtype to (n, n_bits)."""
        return (rows - self.mean[None, :]) @ self.components.T


def principal_components(
    mean: NDArray[np.float64], covariance: NDArray[np.float64], n_components: int, n_rows: int
) -> Projection:
    """Find the leading eigenvectors of a covariance, with signs fixed.

    The covariance is small (d x d), so LAPACK on the host decomposes it for every namespace and
    the projection is the same for all of them.

    Parameters
    ----------
    mean : ndarray of shape (d,)
    covariance : ndarray of shape (d, d)
    n_components : int
    n_rows : int
        Rows the moments were taken over.

    Returns
    -------
    Projection
        float64 numpy arrays; the largest entry of each component is positive.

    Raises
    ------
    InvalidInputError
        If there are fewer rows than components, or the rows are all equal.

    Warns
    -----
    UserWarning
        If fewer than `n_components` directions vary at all.
    """
    if n_rows < n_components:
        raise InvalidInputError(
            f"PCA to {n_components} bits needs at least {n_components} rows, got "
            f"n_samples={n_rows}; pass more rows or a smaller n_bits"
        )
    import scipy.linalg  # only here: its import takes a while

    d = covariance.shape[0]
    values, vectors = scipy.linalg.eigh(covariance, subset_by_index=[d - n_components, d - 1])
    values, components = values[::-1], np.ascontiguousarray(vectors[:, ::-1].T)
    # Rounding in the rows themselves (float32 at worst) leaves some variance in constant columns.
    floor = np.finfo(np.float32).eps ** 2 * max(float(mean @ mean), 1e-300)
    floor = max(floor, d * np.finfo(np.float64).eps * float(values[0]))
    rank = int((values > floor).sum())
    if rank == 0:
        raise InvalidInputError("the rows are all equal: nothing to project; pass rows that vary")
    if rank < n_components:
        warnings.warn(
            f"only {rank} of the {n_components} directions for n_bits={n_components} vary in "
            "these rows; fewer bits would say as much",
            UserWarning,
            stacklevel=2,
        )
    largest = components[np.arange(n_components), np.abs(components).argmax(axis=1)]
    components *= np.where(largest < 0, -1.0, 1.0)[:, None]
    return Projection(mean, components)
