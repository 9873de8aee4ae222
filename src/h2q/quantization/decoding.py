"""Embeddings back from codes: what a code most likely stands for, given rows seen before."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from h2q._files import write_whole
from h2q._typing import Array, CodeArray, RandomState, StrPath
from h2q.codes import check_codes, pack, unpack_signs
from h2q.errors import FormatError, InvalidInputError
from h2q.quantization.arrays import to_numpy
from h2q.quantization.randomness import as_generator
from h2q.quantization.serialization import FORMAT, FORMAT_VERSION, in_order, read_bytes
from h2q.quantization.sphere import row_blocks, to_sphere


class CodeDecoder(BaseEstimator):  # type: ignore[misc]
    r"""Expected embedding of a code, from codes alone: nothing is stored with the items.

    Ranking by the inner product of a real query with a code's signs takes the code for the
    embedding. But codes lie where embeddings lie, in clusters, and an item near a corner of the
    cube says more of itself than one between two. Take the rotated rows :math:`z_j` seen at `fit`,
    with signs :math:`s_j`, for all that may occur, and let every bit of a code b have been flipped
    with probability p. Then

    .. math::
        \hat z(b) = \sum_j w_j z_j, \qquad w_j \propto \Big(\frac{p}{1 - p}\Big)^{d_H(b, s_j)}

    is the mean of the embedding given the code (Nadaraya & Watson's regression with a Hamming
    kernel). A code between clusters has a short :math:`\hat z`, so the product with a query is
    also weighted by how sure it is.

    Parameters
    ----------
    flip_probability : float, default=0.25
        p, in (0, 0.5). Larger is smoother. Where there are labels, choose it on validation items.
    max_prototypes : int, default=2048
        Rows kept; a sample, where more are given.
    random_state : int, Generator, RandomState or None
        Seed of the sample.

    Attributes
    ----------
    prototypes_ : ndarray of float32, shape (m, k)
        Rows kept, at norm sqrt(k).
    n_bits_ : int
        k.

    References
    ----------
    E. A. Nadaraya, "On estimating regression", Theory Prob. Appl. 9 (1964). Its use on hash codes
    is our own; measured by ``bench/decoding.py``.

    Examples
    --------
    >>> import numpy as np
    >>> from h2q import HouseholderQuantizer
    >>> rows = np.random.default_rng(0).standard_normal((500, 16))
    >>> quantizer = HouseholderQuantizer(random_state=0).fit(rows)
    >>> decoder = CodeDecoder(random_state=0).fit(quantizer.rotate(rows))
    >>> decoder.decode(quantizer.transform(rows[:3])).shape
    (3, 16)
    """

    prototypes_: NDArray[np.float32]
    n_bits_: int

    def __init__(
        self,
        flip_probability: float = 0.25,
        *,
        max_prototypes: int = 2048,
        random_state: RandomState = None,
    ) -> None:
        self.flip_probability = flip_probability
        self.max_prototypes = max_prototypes
        self.random_state = random_state

    def fit(self, rows: Array) -> Self:
        """Keep what decoding needs.

        Parameters
        ----------
        rows : array of shape (n, k)
            Rotated rows (``quantizer.rotate(X)``), best those the quantizer was fitted on.

        Raises
        ------
        InvalidInputError
            If the rows are not finite, or none has a direction; or for a parameter out of range.
        """
        self._check_parameters()
        z = to_numpy(rows)
        if z.ndim != 2 or z.dtype.kind != "f" or 0 in z.shape:
            raise InvalidInputError(
                f"fit needs rotated real rows (n, k), got shape {z.shape} of {z.dtype}"
            )
        if not np.isfinite(z).all():
            raise InvalidInputError("the rows hold NaN or infinite values; remove those rows")
        scaled, is_zero = to_sphere(z)
        scaled = scaled[~is_zero]
        if len(scaled) == 0:
            raise InvalidInputError("all rows are zeros and have no direction")
        if len(scaled) > self.max_prototypes:
            picked = as_generator(self.random_state).choice(
                len(scaled), self.max_prototypes, replace=False
            )
            scaled = scaled[np.sort(picked)]
        self.prototypes_ = np.ascontiguousarray(scaled, dtype=np.float32)
        self.n_bits_ = int(z.shape[1])
        return self

    def decode(self, codes: Array) -> NDArray[np.float32]:
        """Return the expected embedding of each code.

        Parameters
        ----------
        codes : array of shape (n, ceil(k / 8)), uint8
            Packed codes.

        Returns
        -------
        ndarray of float32, shape (n, k)
            Of norm at most sqrt(k); the norm is part of the answer, so do not normalise.
        """
        self._check_fitted()
        packed = check_codes(codes, self.n_bits_)
        # Equal codes have equal embeddings, and learned codes repeat a lot.
        unique, inverse = np.unique(packed, axis=0, return_inverse=True)
        found = np.empty((len(unique), self.n_bits_), dtype=np.float32)
        for block in row_blocks(len(unique), len(self.prototypes_)):
            found[block] = self._decode(unique[block])
        return found[inverse.reshape(-1)]

    def scores(self, queries: Array, codes: Array) -> NDArray[np.float32]:
        """Return inner products of rotated queries (nq, k) with the decoded codes, (nq, n)."""
        rows = np.asarray(to_numpy(queries), dtype=np.float32)
        return np.asarray(rows @ self.decode(codes).T, dtype=np.float32)

    def _decode(self, codes: CodeArray) -> NDArray[np.float32]:
        signs = unpack_signs(codes, self.n_bits_)
        prototypes = unpack_signs(pack(self.prototypes_), self.n_bits_)
        # The product of signs is k - 2 d_H.
        logits = signs @ prototypes.T
        logits *= 0.5 * math.log((1 - self.flip_probability) / self.flip_probability)
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits, out=logits)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.asarray(weights @ self.prototypes_, dtype=np.float32)

    def _check_parameters(self) -> None:
        if not 0 < self.flip_probability < 0.5:
            raise InvalidInputError(
                f"flip_probability must be above 0 and below 0.5, got {self.flip_probability}"
            )
        if self.max_prototypes < 1:
            raise InvalidInputError(f"max_prototypes must be at least 1, got {self.max_prototypes}")

    def _check_fitted(self) -> None:
        if not hasattr(self, "prototypes_"):
            raise NotFittedError("this CodeDecoder is not fitted; call fit(rotated_rows) first")

    def to_bytes(self) -> bytes:
        """Return the fitted decoder as the content of a safetensors file."""
        self._check_fitted()
        metadata = {
            "format": FORMAT,
            "format_version": str(FORMAT_VERSION),
            "kind": "decoder",
            "flip_probability": repr(float(self.flip_probability)),
        }
        return in_order(safetensors.numpy.save({"prototypes": self.prototypes_}, metadata))

    def save(self, path: StrPath) -> None:
        """Write the fitted decoder to `path`, whole or not at all; `h2q.load` reads it."""
        write_whole(path, self.to_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` gave.

        Raises
        ------
        FormatError
            If it is truncated, damaged, or not a decoder.
        """
        name = "the stored decoder"
        header, tensors = read_bytes(data, "decoder", name)
        try:
            prototypes = tensors["prototypes"]
            decoder = cls(float(header["flip_probability"]), max_prototypes=len(prototypes))
            decoder._check_parameters()
        except (KeyError, ValueError) as error:
            raise FormatError(f"{name} is damaged: {error}") from error
        fits = prototypes.ndim == 2 and prototypes.shape[1] > 0 and prototypes.dtype == np.float32
        if not fits or not np.isfinite(prototypes).all():
            raise FormatError(f"{name} is damaged: prototypes of shape {prototypes.shape}")
        decoder.prototypes_, decoder.n_bits_ = prototypes, int(prototypes.shape[1])
        return decoder
