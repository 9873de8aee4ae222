"""What all quantizers share: fitting rows, and streams of rows."""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Final, Self

import numpy as np
from array_api_compat import array_namespace
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError

from h2q._typing import Array, RandomState, StrPath
from h2q.errors import InvalidInputError
from h2q.quantization import serialization
from h2q.quantization.arrays import joined, like, to_numpy
from h2q.quantization.coding import Coder
from h2q.quantization.linear_decoding import decoder_of
from h2q.quantization.model import Model
from h2q.quantization.projection import Projection, principal_components
from h2q.quantization.randomness import as_generator
from h2q.quantization.sampling import RowStream
from h2q.quantization.solvers.polar import orthonormal
from h2q.quantization.solvers.result import SolverResult
from h2q.quantization.sphere import blocks_of, row_blocks, to_sphere
from h2q.quantization.validation import check_finite, check_n_bits, check_rows

#: Rows the decoder is fitted on that puts the mean back.
_ROWS_OF_DECODER: Final = 20_000


class BaseQuantizer(
    Coder,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]  # scikit-learn ships no types
    TransformerMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
):
    """A projection where there are more columns than bits, then a rotation, then the signs.

    A subclass stores its parameters, among them `n_bits`, `max_samples` and `random_state`, and
    finds the rotation in `_find_rotation`.

    Attributes
    ----------
    n_bits_ : int
        k, the length of a code.
    n_features_in_ : int
        d, the number of columns seen in `fit`.
    n_samples_seen_ : int
        Rows given to `fit`, or to `partial_fit` so far.
    rotation_ : array of shape (k, k)
        Orthogonal; ``rows @ rotation_`` rotates. In the namespace and on the device of the rows
        fitted on.
    reflections_ : array of shape (m, k)
        Householder vectors whose product is `rotation_`.
    mean_ : array of shape (d,) or None
        Subtracted before the projection; None where n_bits == d, because there nothing is centred.
    components_ : array of shape (k, d) or None
        The principal directions; None where n_bits == d.
    decoder_ : LinearMap or None
        Brings rows back from codes, with the mean in them, so that a collection ranks the cosine of
        the rows and not of the centred rows; None where n_bits == d.
    history_ : dict of str to sequence of float
        Traces of the solver.
    """

    n_bits: int | None
    max_samples: int
    random_state: RandomState
    n_bits_: int
    n_features_in_: int
    n_samples_seen_: int
    _model: Model
    _stream: RowStream | None

    #: Rows without which there is nothing to learn from.
    _min_rows: ClassVar[int] = 1
    #: What rows determine, for the warning about too few.
    _is_learned: ClassVar[str] = "the rotation"

    @abstractmethod
    def _find_rotation(
        self, z: Array, generator: np.random.Generator, validation: Array | None
    ) -> SolverResult:
        """Find the rotation of rows (n, k) on the sqrt(k) sphere, `validation` held out of them."""

    def _check_parameters(self) -> None:
        """Reject bad parameters before any row is read."""

    # ------------------------------------------------------------------ fitting

    def fit(self, X: Any, y: Any = None, *, X_validation: Any = None) -> Self:
        """Learn the projection and the rotation.

        Every row is checked and, where there is a projection, counted in its mean and covariance;
        the rotation is found on a uniform sample of at most `max_samples` rows. Memory above the
        input stays bounded, so `X` may be a memory-mapped file.

        Parameters
        ----------
        X : array of shape (n, d)
            numpy, torch (CPU or CUDA) or any array of the array-API standard; also lists and data
            frames. Real floats of any width, integers or booleans.
        y : ignored
        X_validation : array of shape (n_validation, d), optional
            Rows to choose by. The solver ``"sgd"`` keeps the best rotation on them, as the paper
            does, instead of holding out a share of `X`; the other solvers choose nothing by them.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            If a row holds NaN or infinity, every row is zero, there are too few rows, or a
            parameter cannot be used.

        Warns
        -----
        UserWarning
            If rows of zeros were skipped, counting them; if there are fewer rows than bits.
        """
        with self._whole_or_not_at_all():
            rows = check_rows(self, X, reset=True)
            stream = self._new_stream(rows.shape[1])
            check_finite(rows)
            validation = None
            if X_validation is not None:
                validation = check_rows(self, X_validation, reset=False)
                check_finite(validation)
            stream.add(rows)
            self.n_samples_seen_ = stream.n_seen
            self._stream = None
            self._solve(stream, validation)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Take in one more batch of a stream of rows.

        Keeps a uniform sample of `max_samples` rows and, for the projection, the exact mean and
        covariance of all. The rotation is found when it is first used, so a stream costs one
        solve; the result is that of `fit` on all the rows together.

        Parameters
        ----------
        X : array of shape (n, d)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            As `fit`; the batch is then left out whole. Also if the quantizer was made by `fit` or
            loaded from a file: neither keeps the rows it learned from.
        """
        begun = getattr(self, "_stream", None)
        if begun is None and self.__sklearn_is_fitted__():
            raise InvalidInputError(
                "partial_fit cannot continue: this quantizer was made by fit() or read from a "
                "file, and the rows it learned from are not kept; start a stream with "
                "sklearn.base.clone(quantizer).partial_fit(X)"
            )
        with self._whole_or_not_at_all():
            rows = check_rows(self, X, reset=begun is None)
            stream = self._new_stream(rows.shape[1]) if begun is None else begun
            check_finite(rows)
            stream.add(rows)
            self._stream = stream
            self.n_samples_seen_ = stream.n_seen
            self.__dict__.pop("_model", None)
        return self

    @contextlib.contextmanager
    def _whole_or_not_at_all(self) -> Iterator[None]:
        """Leave the quantizer as it was if something is wrong with the rows."""
        before = dict(self.__dict__)
        try:
            yield
        except BaseException as error:
            self.__dict__.clear()
            self.__dict__.update(before)
            if isinstance(error, MemoryError):
                raise InvalidInputError(
                    f"{type(self).__name__}: there is not enough memory ({error}); take fewer bits "
                    "(n_bits), narrower rows or a smaller max_samples"
                ) from error
            raise

    def _new_stream(self, n_features: int) -> RowStream:
        self._check_parameters()
        if (
            isinstance(self.max_samples, bool)
            or not isinstance(self.max_samples, int | np.integer)
            or self.max_samples < 2
        ):
            raise InvalidInputError(
                f"max_samples must be a whole number of at least 2, got {self.max_samples!r}"
            )
        n_bits = self._length_of_codes(n_features)
        seeds = as_generator(self.random_state).integers(0, 2**32, size=(2, 4))
        self.n_bits_ = n_bits
        self._solver_seed = [int(word) for word in seeds[1]]
        return RowStream(
            int(self.max_samples),
            np.random.default_rng(seeds[0]),
            with_moments=self._needs_moments(n_features),
        )

    def _length_of_codes(self, n_features: int) -> int:
        return check_n_bits(self.n_bits, n_features)

    def _needs_moments(self, n_features: int) -> bool:
        """Whether the mean and covariance of all rows are wanted, not only the sample."""
        return self.n_bits_ < n_features

    def _solve(self, stream: RowStream, validation: Array | None = None) -> None:
        sample = stream.sample()
        k = self.n_bits_
        projection: Projection | None = None
        if k < sample.shape[1]:
            mean, covariance = stream.moments()
            projection = principal_components(mean, covariance, k, stream.n_seen).like(sample)
        z = _on_sphere(projection, sample)
        self._check_count(z.shape[0], of=sample.shape[0])
        if validation is not None:
            validation = _on_sphere(projection, like(validation, sample))
        result = self._find_rotation(z, np.random.default_rng(self._solver_seed), validation)
        model = Model(orthonormal(result.rotation), projection, dict(result.history))
        self._model = model if projection is None else self._with_mean(model, sample)

    def _check_count(self, n: int, of: int) -> None:
        """Say what `n` rows that are not zero, of so many, are too few for."""
        if n < of:
            warnings.warn(
                f"skipped {of - n} of {of} rows: they are zero and have no direction",
                UserWarning,
                stacklevel=4,
            )
        if n < self._min_rows:
            raise InvalidInputError(
                f"{type(self).__name__} needs at least {self._min_rows} rows that are not zero, "
                f"got n_samples={n}"
            )
        k = self.n_bits_
        if self._min_rows > 1 and n < k:
            warnings.warn(
                f"fitting {k} bits on only {n} rows: {self._is_learned} is arbitrary outside "
                f"their span; {k} rows or many more would determine it",
                UserWarning,
                stacklevel=4,
            )

    def _with_mean(self, model: Model, sample: Array) -> Model:
        """Add what puts the mean back into scores, learned on some of the sample."""
        generator = np.random.default_rng([*self._solver_seed, 1])
        picked = np.arange(sample.shape[0])
        if len(picked) > _ROWS_OF_DECODER:
            picked = np.sort(generator.choice(len(picked), _ROWS_OF_DECODER, replace=False))
        rows = to_numpy(sample)[picked]
        affine = model.affine.like(rows[:0].astype(np.float64))
        signs = np.empty((len(rows), self.n_bits_), dtype=np.float32)
        for block in row_blocks(*rows.shape):
            y, _ = affine.apply(rows[block].astype(np.float64))
            signs[block] = np.where(y > 0, 1, -1)
        return dataclasses.replace(model, decoder=decoder_of(rows, signs, generator))

    def __sklearn_is_fitted__(self) -> bool:
        return "_model" in self.__dict__ or getattr(self, "_stream", None) is not None

    def _fitted(self) -> Model:
        """Return the learned model, solving first where a stream waits to be solved."""
        if "_model" not in self.__dict__:
            stream: RowStream | None = getattr(self, "_stream", None)
            if stream is None:
                raise NotFittedError(
                    f"this {type(self).__name__} is not fitted yet: call fit, partial_fit or "
                    "h2q.load first"
                )
            self._solve(stream)
        return self._model

    def _to_tensors(self) -> dict[str, Any]:
        """Return the arrays a file of this quantizer holds."""
        model = self._fitted()
        tensors: dict[str, Any] = {"rotation": model.rotation}
        if model.projection is not None:
            tensors |= {"mean": model.projection.mean, "components": model.projection.components}
        if model.decoder is not None:
            learned = model.decoder.to_tensors().items()
            tensors |= {f"decoder.{name}": array for name, array in learned}
        return tensors | {
            f"history.{trace}": np.asarray(values, dtype=np.float64)
            for trace, values in model.history.items()
        }

    def _from_tensors(self, tensors: dict[str, Any], k: int, d: int) -> None:
        """Take in what `_to_tensors` gave; ValueError or KeyError if it is damaged."""
        self._model = serialization.model_of(tensors, k, d)

    # Defined here, where scikit-learn wraps it: `set_output` holds for it as for `fit_transform`.
    def transform(self, X: Any) -> Array:
        """Code rows: project, rotate, and pack the signs.

        Parameters
        ----------
        X : array of shape (n, d)

        Returns
        -------
        array of shape (n, ceil(n_bits_ / 8)), uint8
            Packed codes (`h2q.codes`), in the namespace and on the device of `X`; a data frame
            where `set_output` asks for one.

        Raises
        ------
        InvalidInputError
            As `rotate`.
        """
        return super().transform(X)

    def save(self, path: StrPath) -> None:
        """Write the fitted quantizer to a file that `h2q.load` reads.

        The file is written whole or not at all.

        Parameters
        ----------
        path : str or path
        """
        serialization.save(self, path)

    def to_bytes(self) -> bytes:
        """Return the contents of the file that `save` writes, to keep inside another file."""
        return serialization.to_bytes(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _on_sphere(projection: Projection | None, rows: Array) -> Array:
    """Project rows and scale them to the sphere, leaving out those that are zero."""
    blocks = (rows[block, :] for block in blocks_of(rows))
    scaled = (to_sphere(b if projection is None else projection.apply(b)) for b in blocks)
    return joined(
        [z if not bool(array_namespace(z).any(zero)) else z[~zero, :] for z, zero in scaled]
    )
