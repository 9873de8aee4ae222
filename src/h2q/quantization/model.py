"""What a fitted quantizer does to rows: project, rotate, scale to the sphere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from array_api_compat import array_namespace

from h2q._typing import Array
from h2q.quantization.affine import Affine
from h2q.quantization.arrays import like
from h2q.quantization.linear_map import LinearMap
from h2q.quantization.projection import Projection
from h2q.quantization.sphere import to_sphere

#: Stands for the map until the constructor has folded it, once.
_NOT_FOLDED: Final = Affine(None)


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
    affine : Affine
        Projection and rotation as one map.
    decoder : LinearMap or None
        What puts the mean back where rows are projected; None where nothing is centred.
    """

    rotation: Array
    projection: Projection | None = None
    history: dict[str, Sequence[float]] = field(default_factory=dict)
    affine: Affine = field(default=_NOT_FOLDED)
    decoder: LinearMap | None = None

    def __post_init__(self) -> None:
        if self.affine is _NOT_FOLDED:
            object.__setattr__(self, "affine", Affine.of(self.rotation, self.projection))

    def like(self, reference: Array) -> Model:
        """Return this model in the namespace, device and dtype of `reference`."""
        projection = None if self.projection is None else self.projection.like(reference)
        rotation, affine = like(self.rotation, reference), self.affine.like(reference)
        return Model(rotation, projection, self.history, affine, self.decoder)

    def rotate(self, rows: Array) -> tuple[Array, Array]:
        """Rotate rows (n, d) that have this model's namespace, device and dtype, step by step.

        Returns
        -------
        y : array of shape (n, k)
            On the sqrt(k) sphere; zero where the projected row is zero.
        is_zero : array of shape (n,), bool
        """
        projected = rows if self.projection is None else self.projection.apply(rows)
        z, is_zero = to_sphere(projected)
        y = array_namespace(rows).matmul(z, self.rotation)
        return y, is_zero
