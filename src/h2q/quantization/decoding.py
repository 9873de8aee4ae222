"""Embeddings back from codes: what a code most likely stands for, given rows seen before."""

from __future__ import annotations

import math
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from h2q._typing import Array, CodeArray, RandomState
from h2q.codes import check_codes, unpack_signs
from h2q.errors import InvalidInputError
from h2q.quantization.arrays import to_numpy
from h2q.quantization.decoder_files import DecoderFile
from h2q.quantization.randomness import as_generator
from h2q.quantization.sphere import row_blocks, to_sphere

_PARAMETERS: Final = ("spread", "trust", "background")
#: Mean of the absolute value of a standard Gaussian.
_MEAN_OF_HALF: Final = math.sqrt(2 / math.pi)


class CodeDecoder(DecoderFile, BaseEstimator):  # type: ignore[misc]
    r"""Expected direction of the embedding behind a code; nothing is stored with the items.

    Ranking by the inner product of a real query with a code's signs takes the code for the
    embedding. But codes lie where embeddings lie, in clusters, and a bit says more where the
    embeddings of its cluster are far from zero. Take for the rotated rows a mixture: with
    probability b a standard Gaussian (the background, which makes no assumption), otherwise a
    Gaussian of standard deviation :math:`\sigma` around one of the rows :math:`p_j` seen at `fit`.
    The signs s of a row then tell which component it came from, and each entry is a Gaussian cut
    at zero:

    .. math::
        w_j \propto \prod_i \Phi(s_i p_{ji} / \sigma), \qquad
        E[z_i \mid s, j] = p_{ji} + \sigma s_i
        \frac{\varphi(p_{ji} / \sigma)}{\Phi(s_i p_{ji} / \sigma)}

    and :math:`E[z \mid s]` is the mean of these, weighted. Under the background it is
    :math:`\sqrt{2 / \pi}\, s`, the signs themselves, so a code unlike all that was seen is ranked
    as the asymmetric score ranks it. What is returned lies `trust` of the way from the signs to
    that mean, scaled to norm sqrt(k): the length of a posterior mean says how sure it is, and
    ranking by it puts whatever was not seen behind what was.

    When not to use it: with few classes learned well (ten, say), signs rank better than the real
    embeddings do, and going back towards these costs some tenths of a point of mAP.

    Parameters
    ----------
    spread : float, default=1.3
        :math:`\sigma`, in units of the mean absolute entry being about 1. Smaller believes the
        rows seen more.
    trust : float, default=0.5
        In (0, 1]; 1 is the posterior mean. Where there are labels, choose it on validation items.
    background : float, default=0.1
        b, in (0, 1).
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
    A. Gordo, F. Perronnin, Y. Gong, S. Lazebnik, "Asymmetric distances for binary embeddings",
    TPAMI 36 (2014): expected rows behind bits. M. Á. Carreira-Perpiñán, R. Raziperchikolaei,
    "Hashing with binary autoencoders", CVPR 2015; "A decoder perspective of binary hashing",
    arXiv 2112.09568. Measured by ``bench/decoding.py``.

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
        *,
        spread: float = 1.3,
        trust: float = 0.5,
        background: float = 0.1,
        max_prototypes: int = 2048,
        random_state: RandomState = None,
    ) -> None:
        self.spread = spread
        self.trust = trust
        self.background = background
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
        self._keep(np.ascontiguousarray(scaled, dtype=np.float32))
        return self

    def _keep(self, prototypes: NDArray[np.float32]) -> None:
        self.prototypes_, self.n_bits_ = prototypes, int(prototypes.shape[1])
        x = prototypes.astype(np.float64) / self.spread
        positive, negative = log_ndtr(x), log_ndtr(-x)
        density = -0.5 * (x * x + math.log(2 * math.pi))
        # The log likelihood of signs is linear in them: s . slopes + levels.
        self._slopes = ((positive - negative) / 2).T.astype(np.float32)
        share = (1 - self.background) / len(prototypes)
        self._levels = ((positive + negative) / 2).sum(axis=1) + math.log(share)
        where_positive = prototypes + self.spread * np.exp(density - positive)
        where_negative = prototypes - self.spread * np.exp(density - negative)
        self._means = np.concatenate([where_positive, where_negative], axis=1).astype(np.float32)

    def decode(self, codes: Array) -> NDArray[np.float32]:
        """Return the expected direction of the embedding behind each code.

        Parameters
        ----------
        codes : array of shape (n, ceil(k / 8)), uint8
            Packed codes.

        Returns
        -------
        ndarray of float32, shape (n, k)
            Of norm sqrt(k).
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
        logits = signs @ self._slopes + self._levels.astype(np.float32)
        background = math.log(self.background) - self.n_bits_ * math.log(2)
        highest = np.maximum(logits.max(axis=1, keepdims=True), background)
        weights = np.exp(logits - highest)
        behind = np.exp(background - highest)
        means = weights @ self._means
        plain = _MEAN_OF_HALF * signs
        found = np.where(signs > 0, means[:, : self.n_bits_], means[:, self.n_bits_ :])
        found = (found + behind * plain) / (weights.sum(axis=1, keepdims=True) + behind)
        found = self.trust * found + (1 - self.trust) * plain
        scaled, _ = to_sphere(found)
        return np.asarray(scaled, dtype=np.float32)

    def _check_parameters(self) -> None:
        for name, low, high, includes_high in (
            ("spread", 0.0, math.inf, False),
            ("trust", 0.0, 1.0, True),
            ("background", 0.0, 1.0, False),
        ):
            value = getattr(self, name)
            if not (low < value < high or (includes_high and value == high)):
                end = "at most" if includes_high else "below"
                raise InvalidInputError(f"{name} must be above {low} and {end} {high}, got {value}")
        if self.max_prototypes < 1:
            raise InvalidInputError(f"max_prototypes must be at least 1, got {self.max_prototypes}")

    def _check_fitted(self) -> None:
        if not hasattr(self, "prototypes_"):
            raise NotFittedError("this CodeDecoder is not fitted; call fit(rotated_rows) first")

    def _content(self) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
        self._check_fitted()
        words = {name: repr(float(getattr(self, name))) for name in _PARAMETERS}
        return {"prototypes": self.prototypes_}, words

    @classmethod
    def _of_content(cls, tensors: dict[str, NDArray[Any]], header: dict[str, str]) -> Self:
        prototypes = tensors["prototypes"]
        if prototypes.ndim != 2 or 0 in prototypes.shape:
            raise ValueError(f"prototypes of shape {prototypes.shape}")
        # Decoders of the first versions kept the same rows and had another parameter.
        decoder = cls(max_prototypes=len(prototypes))
        if "flip_probability" not in header:
            decoder.set_params(**{name: float(header[name]) for name in _PARAMETERS})
        decoder._check_parameters()
        decoder._keep(prototypes)
        return decoder
