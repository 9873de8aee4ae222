"""What a fitted quantizer does to rows: project, rotate, scale to the sphere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from array_api_compat import array_namespace

from h2q._typing import Array
from h2q.quantization.arrays import like
from h2q.quantization.projection import Projection
from h2q.quantization.sphere import to_sphere


@dataclass(frozen=True, slots=True)
class Model:
    """The learned part of a quantizer.

    Attributes
    ----------
    rotation : array of shape (k, k)
    projection : Projection or None
        None where the rows have k columns already; then they are not centred either, so that the
        inner products of the rows, and with them the similarities, are kept.
    history : dict of str to sequence of float
        Traces of the solver.
    """

    rotation: Array
    projection: Projection | None = None
    history: dict[str, Sequence[float]] = field(default_factory=dict)

    def like(self, reference: Array) -> Model:
        """Return this model in the namespace, device and dtype of `reference`."""
        projection = None if self.projection is None else self.projection.like(reference)
        return Model(like(self.rotation, reference), projection, self.history)

    def project(self, rows: Array) -> Array:
        """Map rows (n, d) to (n, k), before the rotation."""
        if self.projection is None:
            return rows
        return (rows - self.projection.mean[None, :]) @ self.projection.components.T

    def rotate(self, rows: Array) -> tuple[Array, Array]:
        """Rotate rows (n, d) that have this model's namespace, device and dtype.

        Returns
        -------
        y : array of shape (n, k)
            On the sqrt(k) sphere; zero where the projected row is zero.
        is_zero : array of shape (n,), bool
        """
        z, is_zero = to_sphere(self.project(rows))
        y = array_namespace(rows).matmul(z, self.rotation)
        return y, is_zero
