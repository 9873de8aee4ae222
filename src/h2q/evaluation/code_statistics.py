"""What a set of codes looks like without any label: balance, correlation, entropy, collisions."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.evaluation._backend import backend_for
from h2q.evaluation._sides import prepare


@dataclass(frozen=True)
class CodeStatistics:
    """Statistics of n codes of n_bits bits.

    Attributes
    ----------
    n_codes, n_bits : int
        Sizes.
    distinct : int
        Number of distinct codes.
    imbalance : float
        Mean over the bits of abs(mean of the +-1 bit): 0 is balanced, 1 constant.
    constant_bits : int
        Bits that are the same in every code.
    correlation : float
        Mean of abs(correlation) over the pairs of bits that vary; 0 is decorrelated, NaN where
        fewer than two bits vary.
    max_correlation : float
        The largest abs(correlation) of a pair.
    bit_entropy : float
        Mean entropy of a bit, in bits: 1 is balanced.
    code_entropy : float
        Entropy of the whole code's empirical distribution, in bits; at most log2(n_codes).
    collision_rate : float
        Share of the pairs of items that have the same code.
    """

    n_codes: int
    n_bits: int
    distinct: int
    imbalance: float
    constant_bits: int
    correlation: float
    max_correlation: float
    bit_entropy: float
    code_entropy: float
    collision_rate: float

    def to_dict(self) -> dict[str, float | int]:
        """Return the statistics by name, ready for JSON."""
        return asdict(self)


def code_statistics(codes: Array, n_bits: int | None = None) -> CodeStatistics:
    """Describe a set of codes.

    Parameters
    ----------
    codes : array, shape (n, n_bits) real, or (n, ceil(n_bits / 8)) of uint8
        Rotated real rows, or packed codes with `n_bits`.
    n_bits : int, optional
        Length of packed codes.

    Examples
    --------
    >>> import numpy as np
    >>> s = code_statistics(np.array([[1., 1], [1, -1], [-1, 1], [-1, -1]]))
    >>> s.distinct, s.imbalance, s.correlation, s.code_entropy
    (4, 0.0, 0.0, 2.0)
    """
    backend = backend_for(codes)
    xp = backend.xp
    side, _, n_bits = prepare(codes, codes, n_bits, backend)
    n = len(side)
    together = backend.zeros((n_bits, n_bits))
    for start in range(0, n, 1 << 14):
        bits = backend.unpack(side.codes[start : start + (1 << 14)], n_bits)
        part = xp.astype(bits, xp.float32)  # counts up to 2**24 are exact in float32
        together += part.T @ part
    both = backend.to_numpy(together)
    ones = both.diagonal()
    p = ones / n
    varies = (ones > 0) & (ones < n)
    spread = np.sqrt(p * (1 - p))[varies]
    covariance = (both / n - np.outer(p, p))[np.ix_(varies, varies)]
    pairs = np.abs(covariance / np.outer(spread, spread))[np.triu_indices(len(spread), 1)]
    counts = backend.to_numpy(backend.unique_codes(side.codes)[2]).astype(np.float64)
    q = counts / n
    return CodeStatistics(
        n_codes=n,
        n_bits=n_bits,
        distinct=len(counts),
        imbalance=float(np.abs(2 * p - 1).mean()),
        constant_bits=int(n_bits - varies.sum()),
        correlation=float(pairs.mean()) if len(pairs) else float("nan"),
        max_correlation=float(pairs.max()) if len(pairs) else float("nan"),
        bit_entropy=float((_surprise(p) + _surprise(1 - p)).mean()),
        code_entropy=float(_surprise(q).sum()),
        collision_rate=float((counts * (counts - 1)).sum() / max(1, n * (n - 1))),
    )


def _surprise(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-p * np.log2(np.where(p > 0, p, 1.0)))
