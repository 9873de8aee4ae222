r"""Local search for the bits of a code: a tabu search over single flips.

A row x is to be near :math:`\mu + W s`, s in {-1, +1}^k. Up to a constant its squared distance is
:math:`s^\top G s - 2 b^\top s`, with :math:`G = W^\top W` and :math:`b = W^\top (x - \mu)`. With
:math:`h = b - \operatorname{offdiag}(G) s`, flipping bit i changes a quarter of it by
:math:`a_i = s_i h_i`. The bit with the least a_i is flipped even where that is a loss, and may not
be flipped back for a few steps unless that is the best yet; the best of all codes passed is kept.
(Least: to as many digits as 32 bits hold beside the bit's number; of equal ones the first.)
(F. Glover, 1989; for quadratic functions of bits G. Kochenberger et al., 2014). A flip costs one
row of G to keep every a_i right.

numba compiles the search where it is installed (``pip install "h2q[search]"``). Without it numpy
does the same, flip for flip, for many rows in step: the codes are equal, the time is not.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: The padded Gram matrix has a multiple of so many bits.
GROUP: Final = 32
#: A code must be nearer by more than rounding may feign, in units of the mean diagonal of G.
_LEAST_GAIN: Final = 1e-5
#: Steps that a flipped bit stays as it is. 4 to 6 found the nearest codes of 16 to 48 bytes.
_TENURE: Final = 5
#: Rows from which numpy alone is slow enough to say so.
_MANY_ROWS: Final = 20_000
#: A bit that may be flipped, and one that may not, in the order of `_order`.
FREE: Final = np.int32(-(2**31))
BARRED: Final = np.int32(2**31 - 1)

_warned = False


class SearchTable(NamedTuple):
    """What the search takes of a Gram matrix (k, k), made once by `search_table`.

    Attributes
    ----------
    off_gram : ndarray of shape (k, k), float32
        Shrunk off the diagonal, which is zero.
    twice : ndarray of shape (K, K), float32
        Twice that, padded with zeros to a multiple of `GROUP` bits.
    least_gain : float32
        What a code must be nearer by.
    """

    off_gram: Floats
    twice: Floats
    least_gain: np.float32


def search_table(gram: NDArray[Any], shrinkage: float = 0.0) -> SearchTable:
    """Return what `search_bits` takes of a Gram matrix (k, k).

    Off the diagonal it is shrunk by `shrinkage`: 0 searches for the nearest row, 1 leaves each bit
    the sign of its own entry of b.
    """
    off = np.asarray(gram, dtype=np.float32) * np.float32(1 - shrinkage)
    np.fill_diagonal(off, 0)
    k = len(off)
    padded = -(-k // GROUP) * GROUP
    twice = np.zeros((padded, padded), dtype=np.float32)
    twice[:k, :k] = 2 * off
    return SearchTable(off, twice, np.float32(_LEAST_GAIN * float(np.mean(np.diag(gram)))))


def search_bits(signs: Floats, linear: Floats, table: SearchTable, n_flips: int) -> None:
    """Improve the bits of rows, in place.

    Parameters
    ----------
    signs : ndarray of shape (n, k), float32
        Where each row starts, as -1 and +1; replaced by what is found.
    linear : ndarray of shape (n, k), float32
        b of each row. Overwritten.
    table : SearchTable
    n_flips : int
        Flips a row, at least; more are made as long as each finds a nearer code. 0 only descends.
    """
    linear -= signs @ table.off_gram
    linear *= signs
    linear += 0  # no zero with a sign, which would come before the other
    k = signs.shape[1]
    tenure = min(_TENURE, k // 2)
    index_bits = np.int32(2 ** int(len(table.twice) - 1).bit_length() - 1)
    if importlib.util.find_spec("numba") is not None:
        from h2q.quantization._bit_kernel import search

        search(linear, signs, table.twice, n_flips, tenure, index_bits, table.least_gain)
    else:
        _warn_once(len(signs))
        twice = table.twice[:k, :k]
        _in_step(linear, signs, twice, n_flips, tenure, index_bits, table.least_gain)


def _warn_once(n_rows: int) -> None:
    global _warned
    if n_rows >= _MANY_ROWS and not _warned:
        _warned = True
        warnings.warn(
            'searching bits without numba takes some ten times longer: pip install "h2q[search]"',
            UserWarning,
            stacklevel=4,
        )


def _order(values: Floats, index_bits: np.int32) -> NDArray[np.int32]:
    """Whole numbers in the order of floats, without the last bits of their fraction."""
    bits = values.view(np.int32)
    ordered: NDArray[np.int32] = (bits ^ ((bits >> 31) & BARRED)) & ~index_bits
    return ordered


def _in_step(
    a: Floats,
    s: Floats,
    twice: Floats,
    n_flips: int,
    tenure: int,
    index_bits: np.int32,
    least: np.float32,
) -> None:
    """Search with numpy: flip after flip for all rows; `_bit_kernel.search` says what is done."""
    n, k = s.shape
    barred = np.full((n, k), FREE, dtype=np.int32)
    gain, best = np.zeros(n, np.float32), np.zeros(n, np.float32)
    found = s.copy()
    recent: list[NDArray[np.intp]] = []
    index = np.arange(k, dtype=np.int32)
    step, active = 0, np.arange(n)
    while len(active):
        limit = _order(best[active] - least - gain[active], index_bits)[:, None]
        keys = _order(a[active], index_bits)
        held = np.where(keys < limit, keys, np.maximum(keys, barred[active]))
        bit = (held | index).argmin(axis=1)
        gain[active] += a[active, bit]
        flipped = -s[active, bit]
        s[active, bit] = flipped
        a[active, bit] *= -1
        a[active] -= flipped[:, None] * (s[active] * twice[bit])
        if tenure:
            if len(recent) == tenure:
                barred[active, recent.pop(0)[active]] = FREE
            recent.append(np.zeros(n, dtype=np.intp))
            recent[-1][active] = bit
            barred[active, bit] = BARRED
        nearer = gain[active] < best[active] - least
        better = active[nearer]
        best[better], found[better] = gain[better], s[better]
        step += 1
        if step >= n_flips:
            active = better
    s[:] = found
