r"""Local search for the bits of a code: coordinate descent with kicks.

A row x is to be near :math:`\mu + W s`, s in {-1, +1}^k. Up to a constant its squared distance is
:math:`s^\top G s - 2 b^\top s`, with :math:`G = W^\top W` and :math:`b = W^\top (x - \mu)`. A bit
is flipped where that lowers it, in cyclic order, until no single flip does: with
:math:`h = b - \operatorname{offdiag}(G) s`, bit i is wrong where :math:`s_i h_i < 0`, and flipping
it costs one row of G to keep h right. Then a few bits are flipped together (a kick), the descent
is repeated, and the better of the two is kept (iterated local search; Martinez et al. 2016, 2018).

numba compiles the search where it is installed (``pip install "h2q[search]"``). Without it numpy
does the same, flip for flip, for many rows in step: the codes are equal, the time is not.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: Rows of the padded Gram matrix come in groups of so many bits.
GROUP: Final = 16
#: A kick must gain more than rounding may feign, in units of the mean diagonal of G.
_LEAST_GAIN: Final = 1e-5
#: Rows from which numpy alone is slow enough to say so.
_MANY_ROWS: Final = 20_000

_warned = False


def off_diagonal(gram: NDArray[Any], shrinkage: float) -> Floats:
    """Return what `search_bits` takes of a Gram matrix (k, k).

    Off the diagonal it is shrunk by `shrinkage`: 0 searches for the nearest row, 1 leaves each bit
    the sign of its own entry of b.
    """
    kept = np.asarray(gram, dtype=np.float32) * np.float32(1 - shrinkage)
    np.fill_diagonal(kept, 0)
    return kept


def search_bits(
    signs: Floats, linear: Floats, off_gram: Floats, kicks: NDArray[np.int64], least_gain: float
) -> None:
    """Improve the bits of rows, in place.

    Parameters
    ----------
    signs : ndarray of shape (n, k), float32
        Where each row starts, as -1 and +1; replaced by what is found.
    linear : ndarray of shape (n, k), float32
        b of each row. Overwritten.
    off_gram : ndarray of shape (k, k), float32
        As `off_diagonal` returns it.
    kicks : ndarray of shape (m, r), int64
        The bits flipped together by each of m kicks: the same for every row, so that equal rows
        have equal codes.
    least_gain : float
        What a kick must gain; `gain_of` says it.
    """
    linear -= signs @ off_gram
    k = off_gram.shape[0]
    padded = -(-k // GROUP) * GROUP
    twice = np.zeros((padded, padded), dtype=np.float32)
    twice[:k, :k] = 2 * off_gram
    least = np.float32(-least_gain)
    if importlib.util.find_spec("numba") is not None:
        from h2q.quantization._bit_kernel import search

        search(linear, signs, twice, kicks, least)
    else:
        _warn_once(len(signs))
        _in_step(linear, signs, twice[:k, :k], kicks, least)


def gain_of(gram: NDArray[Any]) -> float:
    """Return the least gain of a kick for a Gram matrix (k, k)."""
    return _LEAST_GAIN * float(np.mean(np.diag(gram)))


def _warn_once(n_rows: int) -> None:
    global _warned
    if n_rows >= _MANY_ROWS and not _warned:
        _warned = True
        warnings.warn(
            'searching bits without numba takes some 30 times longer: pip install "h2q[search]"',
            UserWarning,
            stacklevel=4,
        )


def _in_step(
    h: Floats, s: Floats, twice: Floats, kicks: NDArray[np.int64], least: np.float32
) -> None:
    """Search with numpy: bit after bit for all rows."""
    _descend_in_step(h, s, twice, np.zeros(len(h), np.float32))
    for kick in kicks:
        gain = np.zeros(len(h), np.float32)
        tried_h, tried_s = h.copy(), s.copy()
        everywhere = np.arange(len(h))
        for bit in kick:
            _flip(tried_h, tried_s, twice, gain, everywhere, bit)
        _descend_in_step(tried_h, tried_s, twice, gain)
        better = gain < least
        h[better], s[better] = tried_h[better], tried_s[better]


def _descend_in_step(h: Floats, s: Floats, twice: Floats, gain: Floats) -> None:
    active = np.arange(len(h))
    while len(active):
        changed = np.zeros(len(h), dtype=bool)
        for bit in range(twice.shape[0]):
            wrong = active[s[active, bit] * h[active, bit] < 0]
            if len(wrong):
                _flip(h, s, twice, gain, wrong, bit)
                changed[wrong] = True
        active = np.flatnonzero(changed)


def _flip(
    h: Floats, s: Floats, twice: Floats, gain: Floats, rows: NDArray[np.intp], bit: int
) -> None:
    gain[rows] += s[rows, bit] * h[rows, bit]
    flipped = -s[rows, bit]
    s[rows, bit] = flipped
    h[rows] -= flipped[:, None] * twice[bit]
