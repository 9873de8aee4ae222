"""What a learned projection and rotation are used for: rotating, coding, judging."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final

from array_api_compat import array_namespace

from h2q import codes
from h2q._typing import Array
from h2q.quantization import sphere
from h2q.quantization.arrays import joined, to_numpy, working_dtype
from h2q.quantization.linear_map import LinearMap
from h2q.quantization.model import Model
from h2q.quantization.reflections import factor_orthogonal
from h2q.quantization.sphere import to_sphere
from h2q.quantization.validation import check_finite, check_rows, refuse_zero_rows

#: Entries coded at a time on a processor: few enough to stay in a core's cache.
_ENTRIES_IN_CACHE: Final = 1 << 17


def _rows_at_once(rows: Array, n_bits: int) -> int:
    entries = sphere.DEVICE_ENTRIES
    if sphere.on_host(rows):
        entries = min(_ENTRIES_IN_CACHE, sphere.BLOCK_ENTRIES)
    return max(1, entries // max(int(rows.shape[1]), n_bits))


class Coder(ABC):
    """Rows to codes by a fitted model; how it is fitted is the business of `BaseQuantizer`."""

    n_bits_: int

    @abstractmethod
    def _fitted(self) -> Model:
        """Return the learned model, or raise `NotFittedError`."""

    @property
    def rotation_(self) -> Array:
        """Orthogonal matrix (k, k)."""
        return self._fitted().rotation

    @property
    def reflections_(self) -> Array:
        """Householder vectors (m, k) whose product is `rotation_`."""
        return factor_orthogonal(self._fitted().rotation)

    @property
    def mean_(self) -> Array | None:
        """Mean (d,) subtracted before the projection, or None."""
        projection = self._fitted().projection
        return None if projection is None else projection.mean

    @property
    def components_(self) -> Array | None:
        """Principal directions (k, d), or None."""
        projection = self._fitted().projection
        return None if projection is None else projection.components

    @property
    def decoder_(self) -> LinearMap | None:
        """What brings rows back from codes with the mean in them; None where nothing is centred."""
        return self._fitted().decoder

    @property
    def history_(self) -> dict[str, Sequence[float]]:
        """Traces of the solver."""
        return self._fitted().history

    @property
    def _n_features_out(self) -> int:
        return codes.code_width(self.n_bits_)

    def _rotated_blocks(self, X: Any) -> Iterator[Array]:
        """Yield rotated rows in blocks, of any length each: their signs are the codes."""
        fitted = self._fitted()
        rows = check_rows(self, X, reset=False)
        xp = array_namespace(rows)
        dtype = working_dtype(rows)
        model = fitted.like(xp.astype(rows[:0, :], dtype))
        zero_rows: list[int] = []
        step = _rows_at_once(rows, self.n_bits_)
        for start in range(0, rows.shape[0], step):
            part = rows[start : start + step, :]
            if self.n_bits_ == 1:  # a product with a vector may leave zero times NaN out
                check_finite(part, first_row=start)
            part = xp.astype(part, dtype, copy=False)
            y, doubtful = model.affine.apply(part)
            if bool(xp.any(doubtful)):
                check_finite(part, first_row=start)
                again = xp.nonzero(doubtful)[0]
                long_way, is_zero = model.rotate(xp.take(part, again, axis=0))
                y[doubtful, :] = long_way
                zero_rows.extend(int(i) + start for i in to_numpy(again)[to_numpy(is_zero)])
            yield y
        after = "" if fitted.projection is None else " after centring"
        refuse_zero_rows(zero_rows, after)

    def rotate(self, X: Any) -> Array:
        """Project, scale to the sqrt(k) sphere and rotate.

        Parameters
        ----------
        X : array of shape (n, d)

        Returns
        -------
        array of shape (n, k)
            Real rows of norm sqrt(k) in the namespace and on the device of `X`; float64 where `X`
            is float64 or holds wide integers, else float32. Their signs are the codes.

        Raises
        ------
        InvalidInputError
            If `X` is not as wide as what was fitted, or a row is not finite or is zero, naming
            the rows.
        """
        return joined([to_sphere(y)[0] for y in self._rotated_blocks(X)])

    def rotate_uncentred(self, X: Any) -> Array:
        """Project and rotate without centring, on the sqrt(k) sphere.

        Cosines of such rows are those of the rows given, up to what the projection leaves out.
        Cosines of `rotate`'s are those of *centred* rows. Without a projection both are the same.

        Parameters
        ----------
        X : array of shape (n, d)
            Finite, none of them zero.

        Returns
        -------
        array of shape (n, k)
            As `rotate` returns it.
        """
        fitted = self._fitted()
        rows = check_rows(self, X, reset=False)
        xp, dtype = array_namespace(rows), working_dtype(rows)
        affine = fitted.affine.uncentred().like(xp.astype(rows[:0, :], dtype))
        blocks = []
        for block in sphere.row_blocks(*rows.shape):
            part = to_sphere(xp.astype(rows[block, :], dtype, copy=False))[0]
            blocks.append(to_sphere(affine.apply(part)[0])[0])
        return joined(blocks)

    def transform(self, X: Any) -> Array:
        """Code rows: project, rotate, and pack the signs.

        Parameters
        ----------
        X : array of shape (n, d)

        Returns
        -------
        array of shape (n, ceil(n_bits_ / 8)), uint8
            Packed codes (`h2q.codes`), in the namespace and on the device of `X`.

        Raises
        ------
        InvalidInputError
            As `rotate`.
        """
        return joined([codes.pack(y > 0) for y in self._rotated_blocks(X)])

    def quantization_error(self, X: Any) -> float:
        """Mean of (abs(y) - 1)^2 over the entries of the rotated rows; 0 is a row of signs.

        Parameters
        ----------
        X : array of shape (n, d)
        """
        total, entries = 0.0, 0
        for block in self._rotated_blocks(X):
            y, xp = to_sphere(block)[0], array_namespace(block)
            total += float(xp.sum(xp.astype((xp.abs(y) - 1) ** 2, xp.float64)))
            entries += y.shape[0] * y.shape[1]
        return total / entries
