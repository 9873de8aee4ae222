r"""A linear map from codes back to rows, and the score of a real query with what comes back.

:math:`\hat x = \mu + W s`. A query is scored by
:math:`\langle q, \hat x \rangle / \lVert \hat x \rVert^\gamma`, with the mean included. The length
of :math:`\hat x` follows from the code, so nothing is stored beside it. How the map is learned is
the business of `h2q.quantization.linear_decoding`; to use it needs neither scikit-learn nor scipy.
"""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from h2q._typing import Array, CodeArray
from h2q.codes import check_codes, unpack_signs
from h2q.quantization.arrays import check_array, like, to_numpy, working_dtype
from h2q.quantization.sphere import row_blocks, to_sphere

#: Powers of the length tried on pairs held out; the one in front is kept where none is better.
EXPONENTS: Final = (0.75, 0.0, 0.25, 0.5, 0.625, 0.875, 1.0, 1.25)


def unit_rows(rows: Array) -> tuple[Array, Array]:
    """Scale rows (n, d) to length 1; also which of them are zero, and stay so."""
    scaled, is_zero = to_sphere(rows)
    return scaled / rows.shape[1] ** 0.5, is_zero


class LinearMap:
    """Mean, weights and the power of the length; `h2q.LinearDecoder` says what each is."""

    mean_: NDArray[np.float32]
    weights_: NDArray[np.float32]
    exponent_: float
    typical_score_: float
    n_bits_: int
    n_features_in_: int

    def set(self, mean: NDArray[np.float32], weights: NDArray[np.float32]) -> Self:
        """Take a map that was found elsewhere: mean (d,) and weights (d, k)."""
        self.mean_, self.weights_ = mean, weights
        self.n_features_in_, self.n_bits_ = map(int, weights.shape)
        self.exponent_, self.typical_score_ = EXPONENTS[0], 1.0
        self._measure_lengths()
        return self

    def project(self, rows: Array) -> tuple[Array, Array]:
        """Return what queries become: rows (n, k) to multiply with signs, and offsets (n,).

        Parameters
        ----------
        rows : array of shape (n, d)
            Finite; scaled to length 1.
        """
        self._check_fitted()
        xp = array_namespace(rows)
        unit, _ = unit_rows(xp.astype(rows, working_dtype(rows), copy=False))
        weights, mean = like(self.weights_, unit), like(self.mean_, unit)
        return xp.matmul(unit, weights), xp.matmul(unit, mean[:, None])[:, 0]

    def decode(self, codes: Array) -> NDArray[np.float32]:
        """Return the row behind each code.

        Parameters
        ----------
        codes : array of shape (n, ceil(k / 8)), uint8

        Returns
        -------
        ndarray of float32, shape (n, d)
            Of length about 1 where the code says much of the row, shorter where it says little.
        """
        self._check_fitted()
        packed = check_codes(codes, self.n_bits_)
        found = np.empty((len(packed), self.n_features_in_), dtype=np.float32)
        for block in row_blocks(len(packed), max(self.n_bits_, self.n_features_in_)):
            found[block] = unpack_signs(packed[block], self.n_bits_) @ self.weights_.T
        found += self.mean_
        return found

    def lengths(self, codes: CodeArray) -> NDArray[np.float64]:
        """Length of the row behind each code; the same for equal codes in every batch."""
        self._check_fitted()
        found = np.empty(len(codes), dtype=np.float64)
        for block in row_blocks(len(codes), 4 * self.n_bits_):
            found[block] = self._lengths_of(unpack_signs(codes[block], self.n_bits_))
        return found

    def scores(self, queries: Array, codes: Array) -> NDArray[np.float32]:
        """Score real queries (nq, d) with codes (n, ceil(k / 8)): (nq, n)."""
        packed = check_codes(codes, self.n_bits_)
        rows, offsets = (np.asarray(to_numpy(each), np.float32) for each in self.project(queries))
        products = rows @ unpack_signs(packed, self.n_bits_).T + offsets[:, None]
        return np.asarray(products * self.lengths(packed) ** -self.exponent_, dtype=np.float32)

    def _measure_lengths(self) -> None:
        """Prepare squared lengths as sums of whole numbers, which no order of adding changes."""
        weights, mean = self.weights_.astype(np.float64), self.mean_.astype(np.float64)
        gram, cross = weights.T @ weights, 2 * (mean @ weights)
        bound = float(np.abs(gram).sum() + np.abs(cross).sum() + mean @ mean)
        # Every partial sum stays below 2^52 and is exact in float64.
        step = 2.0 ** (np.ceil(np.log2(max(bound, 1e-300))) - 51)
        self._step = step
        self._gram, self._cross = np.rint(gram / step), np.rint(cross / step)
        self._square = float(np.rint(mean @ mean / step))
        # A length of zero would make a score infinite; none is shorter than rounding may make it.
        self._shortest = max(float(np.sqrt(bound)) * 1e-4, 1e-30)

    def _lengths_of(self, signs: NDArray[np.float32]) -> NDArray[np.float64]:
        wide = signs.astype(np.float64)
        squared = np.einsum("ij,ij->i", wide @ self._gram + self._cross, wide) + self._square
        lengths: NDArray[np.float64] = np.sqrt(np.maximum(squared * self._step, 0.0))
        return np.maximum(lengths, self._shortest)

    def to_tensors(self) -> dict[str, NDArray[Any]]:
        """Return what is learned, as arrays for a file of something else."""
        numbers = np.array([self.exponent_, self.typical_score_], dtype=np.float64)
        return {"mean": self.mean_, "weights": self.weights_, "score": numbers}

    @classmethod
    def from_tensors(cls, tensors: dict[str, NDArray[Any]], k: int, d: int) -> Self:
        """Take in what `to_tensors` gave; ValueError or KeyError if it is damaged."""
        check_array(tensors, "mean", (d,))
        check_array(tensors, "weights", (d, k))
        check_array(tensors, "score", (2,))
        exponent, typical = tensors["score"].tolist()
        if not (0 <= exponent <= 4 and 0 < typical < np.inf):
            raise ValueError(f"exponent {exponent}, typical score {typical}")
        decoder = cls().set(*(tensors[n].astype(np.float32) for n in ("mean", "weights")))
        decoder.exponent_, decoder.typical_score_ = exponent, typical
        return decoder

    def _check_fitted(self) -> None:
        """Raise unless there is a map to use; a class that learns says how."""
