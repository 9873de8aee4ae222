r"""Rows back from codes by one linear map, and the score of a real query with what comes back.

:math:`\hat x = \mu + W s`: least squares over rows and their codes. A query is scored by
:math:`\langle q, \hat x \rangle / \lVert \hat x \rVert^\gamma`, with the mean included. The length
of :math:`\hat x` follows from the code, so nothing is stored beside it.
"""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from h2q._typing import Array, RandomState
from h2q.codes import check_codes, unpack_signs
from h2q.errors import InvalidInputError
from h2q.quantization.arrays import to_numpy
from h2q.quantization.decoder_files import DecoderFile
from h2q.quantization.linear_map import EXPONENTS, LinearMap, unit_rows
from h2q.quantization.randomness import as_generator
from h2q.quantization.serialization import read_bytes
from h2q.quantization.validation import check_finite

#: Ridge of the least squares, in units of the number of bits: the ratio of what the bits leave to
#: what they explain, about a third at the lengths people use. It matters where rows are few.
_RIDGE: Final = 0.3
#: Pairs the power is chosen on: rows held out, rows they are compared with, neighbours counted.
_HELD_OUT, _COMPARED, _NEIGHBOURS = 1000, 20_000, 10
_ASKED_AT_ONCE: Final = 64
#: Rows a bit from which a decoder is worth more than the signs: of fewer it is mostly ridge.
_LEAST_ROWS_A_BIT: Final = 20
#: Fewer rows than this are all needed for the fit.
_LEAST_HELD_OUT: Final = 30


def least_squares(
    rows: NDArray[np.float32], signs: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit ``rows = mean + signs @ weights.T``.

    Parameters
    ----------
    rows : ndarray of shape (n, d), float32
    signs : ndarray of shape (n, k), float32, of -1 and +1

    Returns
    -------
    mean : ndarray of shape (d,), float32
    weights : ndarray of shape (d, k), float32
    """
    n, k = signs.shape
    centre_rows = rows.mean(axis=0, dtype=np.float64)
    centre_signs = signs.mean(axis=0, dtype=np.float64)
    # Of small whole numbers, so float32 is exact up to 2^24 rows; the products are not centred,
    # which would copy all rows.
    gram = (signs.T @ signs).astype(np.float64) - n * np.outer(centre_signs, centre_signs)
    cross = (signs.T @ rows).astype(np.float64) - n * np.outer(centre_signs, centre_rows)
    gram[np.diag_indices(k)] += _RIDGE * k
    solved = scipy.linalg.solve(gram, cross, assume_a="pos")
    mean = centre_rows - centre_signs @ solved
    return mean.astype(np.float32), np.ascontiguousarray(solved.T, dtype=np.float32)


class LinearDecoder(LinearMap, DecoderFile, BaseEstimator):  # type: ignore[misc]
    r"""Rows behind codes by least squares: :math:`\hat x = \mu + W s`.

    For codes that exist, of any quantizer; a `h2q.LocalSearchQuantizer` chooses its codes for it
    and brings its own (``decoder_``). Kept by a collection
    (``open_collection(..., decoder=...)``) it answers the rank "linear".

    Parameters
    ----------
    max_samples : int, default=50_000
        Most rows used: above it, a uniform sample.
    random_state : int, Generator, RandomState or None
        Seed of the samples.

    Attributes
    ----------
    mean_ : ndarray of float32, shape (d,)
    weights_ : ndarray of float32, shape (d, k)
    exponent_ : float
        :math:`\gamma`, chosen by the recall of held-out pairs.
    typical_score_ : float
        Inner product of a held-out row with what comes back of its nearest neighbours.
    n_bits_, n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from h2q import HouseholderQuantizer, LinearDecoder
    >>> rows = np.random.default_rng(0).standard_normal((500, 16)) + 1
    >>> quantizer = HouseholderQuantizer(8, random_state=0).fit(rows)
    >>> decoder = LinearDecoder(random_state=0).fit(rows, quantizer.transform(rows))
    >>> decoder.decode(quantizer.transform(rows[:3])).shape
    (3, 16)
    """

    def __init__(self, *, max_samples: int = 50_000, random_state: RandomState = None) -> None:
        self.max_samples = max_samples
        self.random_state = random_state

    # ------------------------------------------------------------------ fitting

    def fit(self, rows: Array, codes: Array, *, n_bits: int | None = None) -> Self:
        """Fit the map.

        Parameters
        ----------
        rows : array of shape (n, d)
            The rows that were coded. Only their directions count.
        codes : array of shape (n, ceil(n_bits / 8)), uint8
            Their codes.
        n_bits : int, optional
            Length of the codes; eight a byte by default.

        Raises
        ------
        InvalidInputError
            If the rows are not finite, there is not one code a row, or there are fewer than two
            rows that are not zero.
        """
        z = to_numpy(rows)
        if z.ndim != 2 or z.dtype.kind not in "fiub" or 0 in z.shape:
            raise InvalidInputError(f"fit needs real rows (n, d), got {z.shape} of {z.dtype}")
        check_finite(z)
        packed = check_codes(codes, 8 * np.shape(codes)[-1] if n_bits is None else n_bits)
        if len(packed) != len(z):
            raise InvalidInputError(f"{len(z)} rows but {len(packed)} codes; give one code a row")
        generator = as_generator(self.random_state)
        if len(z) > self.max_samples:
            picked = np.sort(generator.choice(len(z), self.max_samples, replace=False))
            z, packed = z[picked], packed[picked]
        return self._fit(z, unpack_signs(packed, n_bits or 8 * packed.shape[1]), generator)

    def _fit(
        self, z: NDArray[Any], signs: NDArray[np.float32], generator: np.random.Generator
    ) -> Self:
        unit, is_zero = unit_rows(z.astype(np.float64 if z.dtype.itemsize > 4 else np.float32))
        if int((~is_zero).sum()) < 2:
            raise InvalidInputError("fit needs at least two rows that are not zero")
        unit, signs = unit[~is_zero].astype(np.float32), signs[~is_zero]
        held_out = hold_out(len(unit), generator)
        fitted = np.setdiff1d(np.arange(len(unit)), held_out)
        mean, weights = least_squares(unit[fitted], signs[fitted])
        return self.set(mean, weights).choose_exponent(unit[fitted], signs[fitted], unit[held_out])

    def choose_exponent(
        self,
        rows: NDArray[np.float32],
        signs: NDArray[np.float32],
        held_out: NDArray[np.float32],
    ) -> Self:
        """Choose the power of the length by the neighbours of rows the map was not fitted on.

        Parameters
        ----------
        rows, signs : ndarray of shape (n, d) and (n, k), float32
            Unit rows and the signs of their codes.
        held_out : ndarray of shape (m, d), float32
            Unit rows in the role of queries; none keeps 0.75.
        """
        rows, signs = rows[:_COMPARED], signs[:_COMPARED]
        k = min(_NEIGHBOURS, len(rows) // 4)
        if not len(held_out) or k < 1:
            return self
        decoded = self.mean_ + signs @ self.weights_.T
        powers = [self._lengths_of(signs) ** -exponent for exponent in EXPONENTS]
        hits, found_by_true = np.zeros(len(EXPONENTS)), 0.0
        for first in range(0, len(held_out), _ASKED_AT_ONCE):
            asked = held_out[first : first + _ASKED_AT_ONCE]
            true = np.argpartition(-(asked @ rows.T), k - 1, axis=1)[:, :k]
            products = asked @ decoded.T
            found_by_true += float(np.take_along_axis(products, true, axis=1).sum())
            for number, power in enumerate(powers):
                scores = products * power.astype(np.float32)
                found = np.argpartition(-scores, k - 1, axis=1)[:, :k]
                hits[number] += (found[:, :, None] == true[:, None, :]).sum()
        self.typical_score_ = max(abs(found_by_true) / (len(held_out) * k), 1e-6)
        self.exponent_ = _smooth_peak(EXPONENTS, hits)
        return self

    # ------------------------------------------------------------------ files

    def _check_fitted(self) -> None:
        if not hasattr(self, "weights_"):
            raise NotFittedError("this LinearDecoder is not fitted; call fit(rows, codes) first")

    def _content(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        self._check_fitted()
        words = {
            "decoder": "linear",
            "exponent": repr(float(self.exponent_)),
            "typical_score": repr(float(self.typical_score_)),
        }
        return {"mean": self.mean_, "weights": self.weights_}, words

    @classmethod
    def _of_content(cls, tensors: dict[str, NDArray[Any]], header: dict[str, str]) -> Self:
        weights = tensors["weights"]
        if weights.ndim != 2 or 0 in weights.shape:
            raise ValueError(f"weights of shape {weights.shape}")
        score = np.array([float(header["exponent"]), float(header["typical_score"])])
        return cls.from_tensors(tensors | {"score": score}, *weights.shape[::-1])


def _smooth_peak(exponents: tuple[float, ...], hits: NDArray[np.float64]) -> float:
    """Return where a parabola through the most hits and those beside them is highest.

    The hits of a thousand pairs are flat and noisy near their maximum: the best of the powers tried
    is often the one beside.
    """
    order = np.argsort(exponents)
    powers, counts = np.array(exponents)[order], hits[order]
    best = int(np.flatnonzero(order == hits.argmax())[0])
    near = slice(max(best - 2, 0), best + 3)
    curve, slope, _ = np.polyfit(powers[near] - powers[best], counts[near], 2)
    beside = powers[max(best - 1, 0)], powers[min(best + 1, len(powers) - 1)]
    if curve > -1:  # no peak: less than a hit lost one power away
        return float(powers[best])
    return float(np.clip(powers[best] - slope / (2 * curve), *beside))


def decoder_of(
    rows: NDArray[Any], signs: NDArray[np.float32], generator: np.random.Generator
) -> LinearMap | None:
    """Fit a map to rows (n, d) and signs (n, k); None of so few rows that it would say little."""
    if int(rows.any(axis=1).sum()) < max(2, _LEAST_ROWS_A_BIT * signs.shape[1]):
        return None
    learned = LinearDecoder()._fit(rows, signs, generator)
    return LinearMap.from_tensors(learned.to_tensors(), *learned.weights_.shape[::-1])


def hold_out(n: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Choose the rows the power of the length is judged on: at most a tenth, none of few."""
    count = min(_HELD_OUT, n // 10)
    if count < _LEAST_HELD_OUT:
        return np.empty(0, dtype=np.int64)
    return np.sort(generator.choice(n, count, replace=False))


def decoder_from_bytes(data: bytes, name: str = "the stored decoder") -> Any:
    """Read a decoder of either kind, a `CodeDecoder` or a `LinearDecoder`, from the file `name`.

    Raises
    ------
    FormatError
        If it is truncated, damaged, or not a decoder.
    """
    from h2q.quantization.decoding import CodeDecoder

    header, _ = read_bytes(data, "decoder", name)
    kind: Any = LinearDecoder if header.get("decoder") == "linear" else CodeDecoder
    return kind.from_bytes(data, name)
