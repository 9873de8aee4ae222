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

from h2q._typing import Array
from h2q.evaluation._backend import NUMPY, Backend
from h2q.evaluation._ties import TieGroups


def expected_average_precision(
    groups: TieGroups, cuts: Array, divisor: Array | None = None
) -> Array:
    """Return the expected AP of each query.

    Parameters
    ----------
    groups : TieGroups
        Covers at least `cuts` items of each query.
    cuts : array of int64, shape (b,)
        Number of retrieved items of each query that count.
    divisor : array of float64, shape (b,), optional
        What the sum of precisions is divided by; without it, the number of relevant items among
        the first `cuts` (which is random where a tie is cut).

    Returns
    -------
    array of float64, shape (b,)
        Zero where the divisor is zero.
    """
    backend, xp = groups.backend, groups.backend.xp
    # Groups without a relevant item only move the ranks, which `before` holds already.
    some = backend.flatnonzero(groups.relevant)
    rows, t, r = groups.rows[some], groups.totals[some], groups.relevant[some]
    n_before, r_before = groups.before[some], groups.relevant_before[some]
    m = backend.clip(cuts[rows] - n_before, t)

    def real(which: Array, *values: Array) -> list[Array]:
        return [xp.astype(value[which], xp.float64) for value in values]

    def precisions(which: Array, counted: Array) -> Array:
        summed = precision_sum(*real(which, t, r, counted, n_before, r_before), backend=backend)
        return backend.segment_sums(summed, rows[which], groups.n_queries)

    if divisor is not None:
        return ratio(precisions(m > 0, m), divisor, backend)
    whole = m == t
    sums = precisions(whole, t)
    found = backend.segment_sums(r[whole], rows[whole], groups.n_queries)
    result = ratio(sums, found, backend)
    cut = backend.flatnonzero(~whole & (m > 0))  # at most one group a query
    if len(cut):
        at = rows[cut]
        parts = real(cut, t, r, m, n_before, r_before)
        result[at] = _mean_over_cut(sums[at], *parts, backend=backend)
    return result


def precision_sum(
    t: Array, r: Array, m: Array, n_before: Array, r_before: Array, *, backend: Backend = NUMPY
) -> Array:
    """Return the expected sum of precisions at the relevant ones of a group's first `m` items.

    Parameters
    ----------
    t, r : array of float64
        Items and relevant items in the group; t >= 1.
    m : array of float64
        Positions that count, 1 to t.
    n_before, r_before : array of float64
        Items and relevant items ranked above the group.
    backend : Backend
        Of the arrays.
    """
    xp = backend.xp
    slope = xp.where(t > 1, (r - 1) / xp.where(t > 1, t - 1, 1.0), 0.0)
    harmonic = backend.digamma(n_before + m + 1) - backend.digamma(n_before + 1)
    # sum over i of (a + slope (i - 1)) / (N + i), with a = R + 1
    sums = slope * m + (r_before + 1 - slope * (n_before + 1)) * harmonic
    return r / t * sums


def _mean_over_cut(
    sums: Array,
    t: Array,
    r: Array,
    m: Array,
    n_before: Array,
    r_before: Array,
    *,
    backend: Backend,
) -> Array:
    """Average AP over the number of relevant items that a cut leaves of a group."""
    xp = backend.xp
    # Outside mean +- 4.6 sqrt(m) lies less than 1e-17 of the probability (Hoeffding 1963).
    mean, reach = m * r / t, xp.ceil(4.6 * xp.sqrt(m)) + 1
    low = xp.maximum(backend.clip(m - (t - r), m), xp.floor(mean - reach))
    high = xp.minimum(xp.minimum(m, r), xp.ceil(mean + reach))
    span = backend.arange(int(xp.max(high - low)) + 1)
    x = low[:, None] + xp.astype(span, xp.float64)
    t_, r_, m_, n_, k_ = (v[:, None] for v in (t, r, m, n_before, r_before))
    # log P(x + 1) - log P(x), summed from `low`: no factorials, so nothing to cancel.
    step = x[:, :-1]
    inside = step < high[:, None]
    others = t_ - r_ - m_ + step + 1
    rise = (r_ - step) * (m_ - step) / ((step + 1) * xp.where(others > 1, others, 1.0))
    steps = xp.log(xp.where(inside, rise, 1.0))
    log_p = xp.concat([x[:, :1] * 0.0, backend.cumsum(steps, axis=1)], axis=1)
    log_p = xp.where(x > high[:, None], -float("inf"), log_p)
    p = xp.exp(log_p - xp.max(log_p, axis=1, keepdims=True))
    p = p / xp.sum(p, axis=1, keepdims=True)
    in_cut = precision_sum(m_, x, m_, n_, k_, backend=backend)
    return xp.sum(p * ratio(sums[:, None] + in_cut, k_ + x, backend), axis=1)


def ratio(a: Array, b: Array, backend: Backend = NUMPY) -> Array:
    """Return a / b in float64, and 0 where b is not positive."""
    xp = backend.xp
    a, b = xp.astype(a, xp.float64, copy=False), xp.astype(b, xp.float64, copy=False)
    positive = b > 0
    return xp.where(positive, a / xp.where(positive, b, 1.0), 0.0)
