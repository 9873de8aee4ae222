"""Paired comparisons of two quantizations over all cases and seeds, with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from h2q.experiments.results import Result
from h2q.experiments.summary import Case, cells

#: How the intervals are computed, in words, for pages and tables.
METHOD: Final = (
    "Paired by case (data set, backbone, loss, bits) and seed: both quantizations code the same "
    "embeddings, except that what is trained with a penalty has its own. The mean difference is "
    "over the cases, of the mean over the seeds of each; its 95 % interval is the percentile "
    "bootstrap of 10,000 draws that resample the cases and, within each, the seeds."
)


@dataclass(frozen=True)
class Difference:
    """How far `first` is ahead of `second`.

    Attributes
    ----------
    first, second : str
        Quantizations.
    mean, low, high : float
        Mean of first - second and its 95 % interval, in the unit of the metric.
    n_cases, n_pairs : int
        Cases, and pairs of case and seed.
    wins : float
        Share of the pairs in which `first` is ahead; ties count half.
    """

    first: str
    second: str
    mean: float
    low: float
    high: float
    n_cases: int
    n_pairs: int
    wins: float


def paired_difference(
    results: Sequence[Result],
    first: str,
    second: str,
    *,
    metric: str = "mAP",
    ranking: str = "hamming",
    split: str = "query",
    draws: int = 10_000,
) -> Difference | None:
    """Compare two quantizations where both were measured.

    Parameters
    ----------
    results : sequence of Result
    first, second : str
        Names of quantizations.
    metric, ranking, split : str
        As in `h2q.experiments.summary.cells`.
    draws : int
        Of the bootstrap, whose seed is fixed.

    Returns
    -------
    Difference or None
        None where they share no pair.
    """
    by_case: dict[Case, list[float]] = {}
    for case, row in cells(results, metric=metric, ranking=ranking, split=split).items():
        if first not in row or second not in row:
            continue
        a, b = row[first].by_seed, row[second].by_seed
        shared = sorted(set(a) & set(b))
        if shared:
            by_case[case] = [a[seed] - b[seed] for seed in shared]
    if not by_case:
        return None
    rows = [np.asarray(values) for values in by_case.values()]
    mean, low, high = bootstrap(rows, draws)
    pairs = np.concatenate(rows)
    return Difference(
        first,
        second,
        mean,
        low,
        high,
        len(rows),
        len(pairs),
        float(np.mean((pairs > 0) + 0.5 * (pairs == 0))),
    )


def bootstrap(
    rows: Sequence[NDArray[np.float64]], draws: int = 10_000
) -> tuple[float, float, float]:
    """Mean over the cases of the mean over the seeds, and its 95 % interval (`METHOD`).

    Parameters
    ----------
    rows : sequence of ndarray
        Differences of each case, one a seed.
    draws : int
        The seed of the draws is fixed.
    """
    means = np.array([row.mean() for row in rows])
    rng = np.random.default_rng(0)
    # A mean of resampled seeds for each draw and case, then a resample of the cases.
    resampled = np.stack(
        [row[rng.integers(0, len(row), (draws, len(row)))].mean(axis=1) for row in rows], axis=1
    )
    picked = rng.integers(0, len(rows), (draws, len(rows)))
    boot = np.take_along_axis(resampled, picked, axis=1).mean(axis=1)
    low, high = np.quantile(boot, [0.025, 0.975])
    return float(means.mean()), float(low), float(high)
