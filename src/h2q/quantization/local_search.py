"""Codes chosen for what is read from them: local search over the bits of a linear code."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import scipy.linalg
from array_api_compat import array_namespace
from numpy.typing import NDArray

from h2q import codes
from h2q._typing import Array, RandomState
from h2q.errors import InvalidInputError
from h2q.quantization.arrays import joined, like, to_numpy, working_dtype
from h2q.quantization.base import BaseQuantizer
from h2q.quantization.bit_search import SearchTable, search_bits, search_table
from h2q.quantization.householder import HouseholderQuantizer
from h2q.quantization.linear_decoding import LinearDecoder, hold_out, least_squares
from h2q.quantization.linear_map import unit_rows
from h2q.quantization.randomness import random_orthogonal
from h2q.quantization.sampling import RowStream
from h2q.quantization.serialization import check_array
from h2q.quantization.solvers.result import SolverResult
from h2q.quantization.sphere import row_blocks
from h2q.quantization.validation import (
    check_finite,
    check_rows,
    check_whole_bits,
    refuse_zero_rows,
)

Floats = NDArray[np.float32]

#: Rows coded at a time: they, their products and the Gram matrix stay in a core's cache.
_ROWS_AT_ONCE: Final = 256
#: Flips a row while fitting: more of them made no better map.
_FLIPS_OF_FIT: Final = 40
#: More would gain nothing, and a damaged file would have a row searched for hours.
_MOST_FLIPS: Final = 100_000
#: Rows the rotation to start from is found on.
_START_ROWS: Final = 20_000
#: Ridge of the linear start, as a share of the mean variance of its inputs.
_START_RIDGE: Final = 1e-6


class _SearchTerms(NamedTuple):
    """W, what the search takes of its Gram matrix, and W'μ."""

    weights: Floats
    table: SearchTable
    bias: Floats


@dataclass(frozen=True, slots=True)
class LocalSearchModel:
    """The learned part of a `LocalSearchQuantizer`.

    Attributes
    ----------
    decoder : LinearDecoder
    start : ndarray of shape (k, k), float32
        The signs of ``(x - mean) @ weights @ start`` are where the search begins. More than those
        products of a row the best bits do not depend on.
    n_flips : int
    history : dict of str to sequence of float
    """

    decoder: LinearDecoder
    start: Floats
    n_flips: int
    history: dict[str, Sequence[float]] = field(default_factory=dict)
    #: What the search takes of `decoder`, by the shrinkage it was made for: for one query it would
    #: take ten times as long to make as the search itself.
    _terms: dict[tuple[int, float], _SearchTerms] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def terms(self, shrinkage: float) -> _SearchTerms:
        """Return what the search takes of the decoder as it is."""
        weights, mean = self.decoder.weights_, self.decoder.mean_
        known = self._terms.get((id(weights), shrinkage))
        if known is None:
            gram = weights.T @ weights
            self._terms.clear()
            known = self._terms[id(weights), shrinkage] = _SearchTerms(
                weights, search_table(gram, shrinkage), mean @ weights
            )
        return known


class LocalSearchQuantizer(BaseQuantizer):
    r"""Bits chosen so that a linear map of them is near the row: x ≈ μ + W s.

    For unlabelled embeddings that are ranked by the cosine of a real query. The start is a
    `HouseholderQuantizer`; then least squares for W and local search for the bits alternate. A
    query q is scored by ⟨q, x̂⟩ / ‖x̂‖^γ with x̂ = μ + W s, the mean included: ‖x̂‖ follows from the
    code, so the bits are all that is stored.

    Parameters
    ----------
    n_bits : int or None, default=None
        Length of a code. It may exceed the number of columns. None takes the number of columns.
    n_iter : int, default=8
        Alternations.
    n_flips : int, default=160
        Flips of a bit a row when coding. More come nearer the row and cost time in proportion.
    gram_shrinkage : float, default=0.0
        In [0, 1]. Shrinks the off-diagonal of the Gram matrix of W while coding. 0 is best for the
        score above and bad for the Hamming distance of two codes; 0.3 keeps both usable, for
        servers that make their shortlist by Hamming.
    max_samples : int, default=50_000
        Most rows fitted on: above it, a uniform sample.
    random_state : int, numpy Generator, RandomState or None, default=None
        An int gives the same codes every time.

    Attributes
    ----------
    decoder_ : LinearDecoder
        μ, W and γ.
    mean_ : ndarray of shape (d,)
    weights_ : ndarray of shape (d, k)
    exponent_ : float
    n_bits_, n_features_in_, n_samples_seen_, history_
        As of the other quantizers. There is no `rotation_`.

    References
    ----------
    J. Martinez et al., "Revisiting additive quantization" (ECCV 2016) and "LSQ++" (ECCV 2018), for
    local search; F. Glover, "Tabu search" (ORSA Journal on Computing, 1989), for the kind of it;
    M. Á. Carreira-Perpiñán and R. Raziperchikolaei, "Hashing with binary autoencoders" (CVPR 2015),
    for bits chosen for a linear decoder; A. Babenko and V. Lempitsky, "Additive quantization"
    (CVPR 2014); ASH (arXiv 2606.07870). Measured by ``bench/equal_bytes.py``.

    Examples
    --------
    >>> import numpy as np
    >>> from h2q import LocalSearchQuantizer
    >>> rows = np.random.default_rng(0).standard_normal((500, 16))
    >>> quantizer = LocalSearchQuantizer(32, random_state=0).fit(rows)
    >>> quantizer.transform(rows[:3]).shape
    (3, 4)
    """

    #: A code is not the signs of what `rotate` returns.
    codes_are_signs = False
    _min_rows = 2
    _is_learned = "what the bits stand for"
    _model: Any

    def __init__(
        self,
        n_bits: int | None = None,
        *,
        n_iter: int = 8,
        n_flips: int = 160,
        gram_shrinkage: float = 0.0,
        max_samples: int = 50_000,
        random_state: RandomState = None,
    ):
        self.n_bits = n_bits
        self.n_iter = n_iter
        self.n_flips = n_flips
        self.gram_shrinkage = gram_shrinkage
        self.max_samples = max_samples
        self.random_state = random_state

    # ------------------------------------------------------------------ fitting

    def _check_parameters(self) -> None:
        for name in ("n_iter", "n_flips"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
                raise InvalidInputError(f"{name} must be a whole number, got {value!r}")
        if self.n_flips > _MOST_FLIPS:
            raise InvalidInputError(f"n_flips must be at most {_MOST_FLIPS}, got {self.n_flips}")
        shrinkage = self.gram_shrinkage
        if not isinstance(shrinkage, int | float | np.number) or not 0 <= float(shrinkage) <= 1:
            raise InvalidInputError(f"gram_shrinkage must be from 0 to 1, got {shrinkage!r}")

    def _length_of_codes(self, n_features: int) -> int:
        return check_whole_bits(self.n_bits, n_features)

    def _needs_moments(self, n_features: int) -> bool:
        return False

    def _find_rotation(
        self, z: Array, generator: np.random.Generator, validation: Array | None
    ) -> SolverResult:
        raise NotImplementedError("a LocalSearchQuantizer has no rotation")

    def _solve(self, stream: RowStream, validation: Array | None = None) -> None:
        sample = stream.sample()
        unit, is_zero = unit_rows(sample)
        rows = to_numpy(unit)[~to_numpy(is_zero)].astype(np.float32)
        self._check_count(len(rows), of=sample.shape[0])
        generator = np.random.default_rng(self._solver_seed)
        held_out = hold_out(len(rows), generator)
        fitted = np.delete(rows, held_out, axis=0)
        self._model = self._alternate(fitted, rows[held_out], generator)

    def _alternate(
        self, rows: Floats, held_out: Floats, generator: np.random.Generator
    ) -> LocalSearchModel:
        centre = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = rows - centre
        variance = float(np.einsum("ij,ij->", centred, centred, dtype=np.float64)) / len(rows)
        if variance <= 1e-12 * (1 + float(centre @ centre)):
            raise InvalidInputError(
                f"the rows all have one direction (n_features={rows.shape[1]}): nothing to code; "
                "pass rows that vary"
            )
        covariance = (centred.T @ centred).astype(np.float64) / len(rows)
        signs = _first_signs(centred, self.n_bits_, generator)
        history: list[float] = []
        mean, weights = least_squares(rows, signs)
        start = _linear_start(covariance, centred, signs, weights)
        for number in range(self.n_iter):
            # Few flips do until the last round, which fits the map to codes as they will be.
            last = number == self.n_iter - 1
            n_flips = self.n_flips if last else min(_FLIPS_OF_FIT, self.n_flips)
            model = LocalSearchModel(LinearDecoder().set(mean, weights), start, n_flips)
            signs = self._searched(model, rows)
            mean, weights = least_squares(rows, signs)
            start = _linear_start(covariance, centred, signs, weights)
            history.append(_distortion(rows, signs, mean, weights) / variance)
        decoder = LinearDecoder().set(mean, weights)
        model = LocalSearchModel(decoder, start, self.n_flips, {"distortion": history})
        if len(held_out):
            compared = rows[: max(20 * len(held_out), 1)]
            decoder.choose_exponent(compared, self._searched(model, compared), held_out)
        return model

    def _searched(self, model: LocalSearchModel, rows: Floats) -> Floats:
        """Return the signs (n, k) chosen for unit rows."""
        weights, table, bias = model.terms(float(self.gram_shrinkage))
        signs = np.empty((len(rows), weights.shape[1]), dtype=np.float32)
        one = np.float32(1)
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            linear = rows[first : first + _ROWS_AT_ONCE] @ weights
            linear -= bias
            chosen = signs[first : first + _ROWS_AT_ONCE]
            np.copysign(one, linear @ model.start, out=chosen)
            search_bits(chosen, linear, table, model.n_flips)
        return signs

    # ------------------------------------------------------------------ use

    def _learned(self) -> LocalSearchModel:
        model: Any = self._fitted()
        found: LocalSearchModel = model
        return found

    @property
    def decoder_(self) -> LinearDecoder:
        """What brings rows back."""
        return self._learned().decoder

    @property
    def mean_(self) -> Floats:
        """μ, shape (d,)."""
        return self.decoder_.mean_

    @property
    def weights_(self) -> Floats:
        """W, shape (d, k)."""
        return self.decoder_.weights_

    @property
    def exponent_(self) -> float:
        """γ, the power of the length in the score."""
        return self.decoder_.exponent_

    @property
    def rotation_(self) -> Array:
        """There is none: `weights_` takes its place."""
        raise AttributeError("a LocalSearchQuantizer has no rotation; see weights_")

    @property
    def reflections_(self) -> Array:
        """There are none."""
        raise AttributeError("a LocalSearchQuantizer has no reflections; see weights_")

    @property
    def components_(self) -> Array:
        """There are none."""
        raise AttributeError("a LocalSearchQuantizer has no components; see weights_")

    @property
    def history_(self) -> dict[str, Sequence[float]]:
        """``distortion``: share of the variance lost after each alternation, rows fitted on."""
        return self._learned().history

    def _unit_blocks(self, X: Any) -> Any:
        rows = check_rows(self, X, reset=False)
        xp = array_namespace(rows)
        dtype = working_dtype(rows)
        zero_rows: list[int] = []
        for block in row_blocks(*rows.shape):
            part = rows[block, :]
            check_finite(part, first_row=block.start)
            unit, is_zero = unit_rows(xp.astype(part, dtype, copy=False))
            if bool(xp.any(is_zero)):
                zero_rows.extend(int(i) + block.start for i in np.flatnonzero(to_numpy(is_zero)))
            yield unit
        refuse_zero_rows(zero_rows)

    def rotate(self, X: Any) -> Array:
        """Return what real queries become: rows whose products with signs make the score.

        Parameters
        ----------
        X : array of shape (n, d)

        Returns
        -------
        array of shape (n, k)
            W'q of the unit row q, in the namespace and on the device of `X`. The score of a code
            is its inner product with the signs, plus ``<mean_, q>``, over the length of what is
            decoded to the power `exponent_` (`LinearDecoder.scores`). Its signs are *not* the code.
        """
        decoder = self.decoder_
        return joined([decoder.project(unit)[0] for unit in self._unit_blocks(X)])

    def rotate_uncentred(self, X: Any) -> Array:
        """There is no such thing: the mean is in the score."""
        raise AttributeError("a LocalSearchQuantizer does not centre; see rotate")

    def transform(self, X: Any) -> Array:
        """Code rows.

        Parameters
        ----------
        X : array of shape (n, d)

        Returns
        -------
        array of shape (n, ceil(n_bits_ / 8)), uint8
            Packed codes, in the namespace and on the device of `X`. The search runs on the host.
        """
        model = self._learned()
        return joined(
            [
                like(codes.pack(self._searched(model, _as_floats(unit)) > 0), unit, _uint8(unit))
                for unit in self._unit_blocks(X)
            ]
        )

    def decode(self, codes: Array) -> Floats:
        """Return the rows behind codes: (n, d), of length about 1 (`LinearDecoder.decode`)."""
        return self.decoder_.decode(codes)

    def quantization_error(self, X: Any) -> float:
        """Mean squared distance of unit rows to what is decoded, as a share of their variance.

        The variance is that about `mean_` of the rows given.

        Parameters
        ----------
        X : array of shape (n, d)
        """
        model = self._learned()
        mean, weights = model.decoder.mean_, model.decoder.weights_
        lost = variance = 0.0
        for unit in self._unit_blocks(X):
            rows = _as_floats(unit)
            signs = self._searched(model, rows)
            lost += _distortion(rows, signs, mean, weights) * len(rows)
            variance += float(np.square(rows - mean, dtype=np.float64).sum())
        return lost / max(variance, 1e-30)

    # ------------------------------------------------------------------ files

    def _to_tensors(self) -> dict[str, Any]:
        model = self._learned()
        return model.decoder.to_tensors() | {
            "start": model.start,
            "flips": np.array([model.n_flips], dtype=np.int64),
            "history.distortion": np.asarray(model.history["distortion"], dtype=np.float64),
        }

    def _from_tensors(self, tensors: dict[str, NDArray[Any]], k: int, d: int) -> None:
        decoder = LinearDecoder.from_tensors(tensors, k, d)
        check_array(tensors, "start", (k, k))
        flips = tensors["flips"]
        if flips.shape != (1,) or flips.dtype != np.int64 or not 0 <= flips[0] <= _MOST_FLIPS:
            raise ValueError(f"flips should be a number from 0 to {_MOST_FLIPS}")
        history = {"distortion": tensors["history.distortion"].tolist()}
        self._model = LocalSearchModel(decoder, tensors["start"], int(flips[0]), history)


def _as_floats(unit: Array) -> Floats:
    return np.ascontiguousarray(to_numpy(unit), dtype=np.float32)


def _uint8(reference: Array) -> Any:
    return array_namespace(reference).uint8


def _first_signs(centred: Floats, n_bits: int, generator: np.random.Generator) -> Floats:
    """Signs to start from: a learned rotation's, and random directions' for bits beyond them."""
    n, d = centred.shape
    k = min(n_bits, d, n)
    signs = np.empty((n, n_bits), dtype=np.float32)
    with warnings.catch_warnings():  # rows at the mean, few rows: the caller has said so
        warnings.simplefilter("ignore", UserWarning)
        rotation = HouseholderQuantizer(k, max_samples=_START_ROWS, random_state=generator)
        affine = rotation.fit(centred)._fitted().affine.like(centred[:0])
    rotated, _ = affine.apply(centred)
    np.copysign(np.float32(1), rotated, out=signs[:, :k])
    for first in range(k, n_bits, d):
        last = min(first + d, n_bits)
        directions = random_orthogonal(d, generator)[:, : last - first].astype(np.float32)
        np.copysign(np.float32(1), centred @ directions, out=signs[:, first:last])
    return signs


def _linear_start(
    covariance: NDArray[np.float64], centred: Floats, signs: Floats, weights: Floats
) -> Floats:
    """Least squares from what the search is given of centred rows to signs: its first guess."""
    wide = weights.astype(np.float64)
    given = wide.T @ covariance @ wide
    given[np.diag_indices(len(given))] += max(_START_RIDGE * np.trace(given) / len(given), 1e-30)
    cross = wide.T @ ((centred.T @ signs).astype(np.float64) / len(centred))
    solved = scipy.linalg.solve(given, cross, assume_a="pos")
    return np.ascontiguousarray(solved, dtype=np.float32)


def _distortion(rows: Floats, signs: Floats, mean: Floats, weights: Floats) -> float:
    """Mean squared distance of rows to what their signs stand for."""
    total = 0.0
    for block in row_blocks(len(rows), rows.shape[1]):
        rest = rows[block] - mean - signs[block] @ weights.T
        total += float(np.einsum("ij,ij->", rest, rest, dtype=np.float64))
    return total / len(rows)
