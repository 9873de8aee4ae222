"""One table: quantizers side by side on the same embeddings, under every ranking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._renamed import renamed
from h2q._typing import Array, FloatArray
from h2q.quantization import get_quantizer, make_quantizer
from h2q.ranks import JUDGED

#: Rankings of the coded database, in the order of the table; the cosine bound stands apart.
RANKINGS: Final = JUDGED


DEFAULT_QUANTIZERS: Final = ("none", "random", "itq", "h2q")


@dataclass(frozen=True)
class Split:
    """Embeddings and labels of one split.

    Attributes
    ----------
    rows : ndarray of shape (n, d)
    labels : ndarray of shape (n,), integer classes, or (n, c), multi-hot
    """

    rows: FloatArray
    labels: NDArray[Any]


@dataclass
class QuantizerScores:
    """What one quantizer reached; each list has a value a seed.

    Attributes
    ----------
    method, title : str
    mean_average_precision : dict of str to list of float
        By ranking.
    error_fitted, error_database : list of float
        Quantization error on the rows fitted on, and on the database's.
    """

    method: str
    title: str
    mean_average_precision: dict[str, list[float]] = field(default_factory=dict)
    error_fitted: list[float] = field(default_factory=list)
    error_database: list[float] = field(default_factory=list)


@dataclass
class Comparison:
    """Quantizers on the same embeddings.

    Attributes
    ----------
    n_bits : int
    k : int or None
        mAP@k; None ranks the whole database.
    seeds : list of int
    bound : float
        mAP of the real embeddings by cosine: what no code of theirs is expected to pass.
    quantizers : list of QuantizerScores
    """

    n_bits: int
    k: int | None
    seeds: list[int]
    bound: float
    quantizers: list[QuantizerScores]

    @property
    def metric(self) -> str:
        """What the numbers are, such as "mAP@1000"."""
        return "mAP" if self.k is None else f"mAP@{self.k}"

    def header(self) -> list[str]:
        """Column names of `rows`."""
        return [
            "quantization", *RANKINGS, "error (fitted)", "error (database)",
        ]  # fmt: skip

    def rows(self) -> list[list[str]]:
        """Cells of the table, mAP in percent, with the spread where there are several seeds."""
        table = [
            [
                scores.title,
                *(_spread(scores.mean_average_precision[name], 100, 2) for name in RANKINGS),
                _spread(scores.error_fitted, 1, 4),
                _spread(scores.error_database, 1, 4),
            ]
            for scores in self.quantizers
        ]
        bound = f"{100 * self.bound:.2f}"
        return [*table, ["real embeddings, cosine (bound)", *([bound] * len(RANKINGS)), "", ""]]

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON can hold; mAP as a fraction."""
        return {
            "n_bits": self.n_bits,
            "metric": self.metric,
            "seeds": self.seeds,
            "cosine_bound": self.bound,
            "quantizers": {
                scores.method: {
                    **{
                        name: {"mean": float(np.mean(values)), "values": values}
                        for name, values in scores.mean_average_precision.items()
                    },
                    "quantization_error": {
                        "fitted": float(np.mean(scores.error_fitted)),
                        "database": float(np.mean(scores.error_database)),
                    },
                }
                for scores in self.quantizers
            },
        }


@renamed(methods="quantizers")
def compare_quantizers(
    train: Split,
    query: Split,
    database: Split,
    *,
    n_bits: int | None = None,
    quantizers: Sequence[str] = DEFAULT_QUANTIZERS,
    k: int | None = None,
    seeds: Sequence[int] = (0,),
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Comparison:
    """Fit each quantizer on the training rows and judge it on queries against the database.

    Parameters
    ----------
    train, query, database : Split
        Real embeddings.
    n_bits : int, optional
        The dimension by default; below it, PCA comes first.
    quantizers : sequence of str
        As `h2q.quantization.make_quantizer` takes them.
    k : int, optional
        Depth of the ranking; all of the database by default.
    seeds : sequence of int
        Each quantizer is fitted once a seed.
    on_progress : callable
        Told how many fits of how many are judged.

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInputError
        For an unknown method, or for rows and labels that do not fit together.
    """
    from h2q.evaluation import evaluate

    known = [get_quantizer(name) for name in quantizers]  # before any is fitted
    labels = (query.labels, database.labels)
    metric = "mAP" if k is None else f"mAP@{k}"

    def judge(a: Array, b: Array, rankings: Sequence[Any]) -> dict[str, float]:
        found = evaluate(a, b, *labels, k=k, ranks=rankings, radii=())
        return {ranking: found[ranking][metric] for ranking in rankings}

    bound = judge(as_float(query.rows), as_float(database.rows), ["cosine"])["cosine"]
    results, done = [], 0
    for name, entry in zip(quantizers, known, strict=True):
        scores = QuantizerScores(name, entry.title, {ranking: [] for ranking in RANKINGS})
        for seed in seeds:
            quantizer = make_quantizer(name, n_bits, random_state=seed).fit(train.rows)
            values = judge(quantizer.rotate(query.rows), quantizer.rotate(database.rows), RANKINGS)
            for ranking, value in values.items():
                scores.mean_average_precision[ranking].append(value)
            scores.error_fitted.append(float(quantizer.quantization_error(train.rows)))
            scores.error_database.append(float(quantizer.quantization_error(database.rows)))
            done += 1
            on_progress(done, len(known) * len(seeds))
        results.append(scores)
    bits = n_bits or train.rows.shape[1]
    return Comparison(bits, k, list(seeds), bound, results)


def as_float(rows: FloatArray) -> FloatArray:
    """Rows in a width numpy computes in quickly."""
    return rows.astype(np.float32) if rows.dtype == np.float16 else rows


def _spread(values: Sequence[float], scale: float, digits: int) -> str:
    mean = f"{scale * float(np.mean(values)):.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {scale * float(np.std(values, ddof=1)):.{digits}f}"
