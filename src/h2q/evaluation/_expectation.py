r"""Expected average precision over all orders of tied items, in closed form.

McSherry and Najork, "Computing information retrieval performance measures efficiently in the
presence of tied scores" (ECIR 2008), section 3.2: in a group of `t` tied items, `r` of them
relevant, behind `N` items with `R` relevant ones, the i-th position contributes

.. math:: \frac{r}{t} \cdot \frac{R + 1 + (i - 1)\frac{r - 1}{t - 1}}{N + i}

to the sum of the precisions at the relevant items. Summed over i this is a difference of harmonic
numbers, so a group costs the same however large it is.

With a cut-off inside a group and AP divided by the number of relevant items *retrieved*, the
divisor is random too. Given that x of the m counted positions are relevant (hypergeometric), these
x lie uniformly among the m, so the formula holds with t = m and r = x, and AP is averaged over x.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma

from h2q.evaluation._ties import Ints, TieGroups

Floats = NDArray[np.float64]


def expected_average_precision(
    groups: TieGroups, cuts: Ints, divisor: Floats | None = None
) -> Floats:
    """Return the expected AP of each query.

    Parameters
    ----------
    groups : TieGroups
        Covers at least `cuts` items of each query.
    cuts : ndarray of int64, shape (b,)
        Number of retrieved items of each query that count.
    divisor : ndarray of float64, shape (b,), optional
        What the sum of precisions is divided by; without it, the number of relevant items among
        the first `cuts` (which is random where a tie is cut).

    Returns
    -------
    ndarray of float64, shape (b,)
        Zero where the divisor is zero.
    """
    # Groups without a relevant item only move the ranks, which `before` holds already.
    some = np.flatnonzero(groups.relevant)
    rows, t, r = groups.rows[some], groups.totals[some], groups.relevant[some]
    n_before, r_before = groups.before[some], groups.relevant_before[some]
    m = np.clip(cuts[rows] - n_before, 0, t)
    whole = m == t

    def total(which: NDArray[np.bool_], values: Floats) -> Floats:
        sums = np.bincount(rows[which], weights=values, minlength=groups.n_queries)
        return sums.astype(np.float64)  # the empty sum is of integers

    if divisor is not None:
        counted = m > 0
        sums = total(
            counted,
            precision_sum(*(v[counted].astype(np.float64) for v in (t, r, m, n_before, r_before))),
        )
        return _ratio(sums, divisor)
    sums = total(
        whole, precision_sum(*(v[whole].astype(np.float64) for v in (t, r, t, n_before, r_before)))
    )
    result = _ratio(sums, total(whole, r[whole].astype(np.float64)))
    cut = np.flatnonzero(~whole & (m > 0))  # at most one group a query
    if len(cut):
        result[rows[cut]] = _mean_over_cut(
            sums[rows[cut]], *(v[cut] for v in (t, r, m, n_before, r_before))
        )
    return result


def precision_sum(t: Floats, r: Floats, m: Floats, n_before: Floats, r_before: Floats) -> Floats:
    """Return the expected sum of precisions at the relevant ones of a group's first `m` items.

    Parameters
    ----------
    t, r : ndarray
        Items and relevant items in the group; t >= 1.
    m : ndarray
        Positions that count, 1 to t.
    n_before, r_before : ndarray
        Items and relevant items ranked above the group.
    """
    slope = np.where(t > 1, (r - 1) / np.maximum(t - 1, 1), 0.0)
    harmonic = digamma(n_before + m + 1) - digamma(n_before + 1)
    # sum over i of (a + slope (i - 1)) / (N + i), with a = R + 1
    sums = slope * m + (r_before + 1 - slope * (n_before + 1)) * harmonic
    return np.asarray(r / t * sums)


def _mean_over_cut(
    sums: Floats, t: Ints, r: Ints, m: Ints, n_before: Ints, r_before: Ints
) -> Floats:
    """Average AP over the number of relevant items that a cut leaves of a group."""
    # Outside mean +- 4.6 sqrt(m) lies less than 1e-17 of the probability (Hoeffding 1963).
    mean, reach = m * r / t, np.ceil(4.6 * np.sqrt(m)) + 1
    low = np.maximum(np.maximum(0, m - (t - r)), np.floor(mean - reach)).astype(np.int64)
    high = np.minimum(np.minimum(m, r), np.ceil(mean + reach)).astype(np.int64)
    x = (low[:, None] + np.arange((high - low).max() + 1)).astype(np.float64)
    t_, r_, m_, n_, k_ = (v[:, None].astype(np.float64) for v in (t, r, m, n_before, r_before))
    # log P(x + 1) - log P(x), summed from `low`: no factorials, so nothing to cancel.
    step = x[:, :-1]
    inside = step < high[:, None]
    rise = (r_ - step) * (m_ - step) / ((step + 1) * np.maximum(t_ - r_ - m_ + step + 1, 1))
    log_p = np.zeros_like(x)
    np.cumsum(np.log(np.where(inside, rise, 1.0)), axis=1, out=log_p[:, 1:])
    log_p[x > high[:, None]] = -np.inf
    p = np.exp(log_p - log_p.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    in_cut = precision_sum(m_, x, m_, n_, k_)
    return np.asarray((p * _ratio(sums[:, None] + in_cut, k_ + x)).sum(axis=1))


def _ratio(a: Floats, b: Floats) -> Floats:
    return np.divide(a, b, out=np.zeros(np.broadcast_shapes(a.shape, b.shape)), where=b > 0)
