"""One table: quantizers side by side on the same embeddings, under every ranking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._progress import OnProgress, no_progress
from h2q._renamed import renamed
from h2q._typing import FloatArray
from h2q.errors import InvalidInputError
from h2q.judging.labels import check_relevant
from h2q.quantization import get_quantizer, make_quantizer
from h2q.quantization.decoders import decoder_of_class, fit_decoder, suits
from h2q.ranks import JUDGED, RANKS, RankSpec, class_of_artifact, has_artifact, rank_named
from h2q.ranks.table import refuse_text

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
        By rank; one that does not suit the quantizer is left out.
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
    ranks : tuple of str
        Those of the coded database, in the order of the table; the cosine bound stands apart.
    """

    n_bits: int
    k: int | None
    seeds: list[int]
    bound: float
    quantizers: list[QuantizerScores]
    ranks: tuple[str, ...] = JUDGED

    @property
    def metric(self) -> str:
        """What the numbers are, such as "mAP@1000"."""
        return "mAP" if self.k is None else f"mAP@{self.k}"

    def header(self) -> list[str]:
        """Column names of `rows`."""
        return [
            "quantization", *self.ranks, "error (fitted)", "error (database)",
        ]  # fmt: skip

    def rows(self) -> list[list[str]]:
        """Cells of the table, mAP in percent, with the spread where there are several seeds."""
        table = [
            [
                scores.title,
                *(_spread(scores.mean_average_precision.get(name), 100, 2) for name in self.ranks),
                _spread(scores.error_fitted, 1, 4),
                _spread(scores.error_database, 1, 4),
            ]
            for scores in self.quantizers
        ]
        bound = f"{100 * self.bound:.2f}"
        return [*table, ["real embeddings, cosine (bound)", *([bound] * len(self.ranks)), "", ""]]

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
    ranks: Sequence[str] | None = None,
    k: int | None = None,
    seeds: Sequence[int] = (0,),
    on_progress: OnProgress = no_progress,
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
    ranks : sequence of str, optional
        Any of `h2q.ranks.RANKS`. By default those of `h2q.ranks.JUDGED` and, for a quantizer that
        has a usual rank of its own, that one. A decoder that a rank needs is fitted on the training
        rows.
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
        For an unknown quantizer or rank, one that suits none of the quantizers, no quantizer or
        seed at all, rows and labels that do not fit together, or no label that is shared.
    """
    from h2q.evaluation import evaluate

    refuse_text("quantizers", quantizers, "itq")
    refuse_text("ranks", ranks, "hamming")
    refuse_text("seeds", seeds, 0)
    for what, given in (("quantizers", quantizers), ("seeds", seeds)):
        if not len(given):
            raise InvalidInputError(f"{what} is empty; give at least one")
    known = [get_quantizer(name) for name in quantizers]  # before any is fitted
    asked = [rank_named(name) for name in (ranks or JUDGED)]
    labels = (query.labels, database.labels)
    check_relevant(*labels)
    sides = (as_float(query.rows), as_float(database.rows))
    metric = "mAP" if k is None else f"mAP@{k}"

    def judge(names: Sequence[str], **fitted: Any) -> dict[str, float]:
        found = evaluate(*sides, *labels, k=k, ranks=names, radii=(), **fitted)
        return {name: found[name][metric] for name in names}

    bound = judge(["cosine"])["cosine"]
    results, done = [], 0
    for name, entry in zip(quantizers, known, strict=True):
        scores = QuantizerScores(name, entry.title)
        for seed in seeds:
            quantizer = make_quantizer(name, n_bits, random_state=seed).fit(train.rows)
            own = [] if ranks else [r for r in RANKS.values() if r.is_default and r not in asked]
            suited = [rank for rank in [*asked, *own] if rank.suits(quantizer)]
            for decoder, names in _by_decoder(suited, train.rows, quantizer, seed):
                for rank, value in judge(names, quantizer=quantizer, decoder=decoder).items():
                    scores.mean_average_precision.setdefault(rank, []).append(value)
            scores.error_fitted.append(float(quantizer.quantization_error(train.rows)))
            scores.error_database.append(float(quantizer.quantization_error(database.rows)))
            done += 1
            on_progress(done, len(known) * len(seeds))
        results.append(scores)
    judged = {rank for scores in results for rank in scores.mean_average_precision}
    for each in asked:
        if ranks and each.name not in judged:
            raise InvalidInputError(
                f"the rank {each.name!r} suits none of the quantizers {', '.join(quantizers)}"
            )
    shown = dict.fromkeys(n for n in [*(each.name for each in asked), *RANKS] if n in judged)
    bits = n_bits or train.rows.shape[1]
    return Comparison(bits, k, list(seeds), bound, results, tuple(shown))


def _by_decoder(
    ranks: Sequence[RankSpec], rows: FloatArray, quantizer: Any, seed: int
) -> Iterator[tuple[Any, list[str]]]:
    """Fit each decoder that is needed, and yield it with the names of the ranks it serves."""
    without: list[str] = []
    for rank in ranks:
        lacking = [need for need in rank.needs if not has_artifact(None, need, quantizer)]
        if not lacking:
            without.append(rank.name)
            continue
        name = decoder_of_class(class_of_artifact(lacking[0]))
        if suits(name, quantizer):
            yield fit_decoder(name, rows, quantizer, random_state=seed), [rank.name]
    if without:
        yield None, without


def as_float(rows: FloatArray) -> FloatArray:
    """Rows in a width numpy computes in quickly."""
    return rows.astype(np.float32) if rows.dtype == np.float16 else rows


def _spread(values: Sequence[float] | None, scale: float, digits: int) -> str:
    if values is None:  # the rank does not suit the quantizer
        return ""
    mean = f"{scale * float(np.mean(values)):.{digits}f}"
    if len(values) < 2:
        return mean
    return f"{mean} ± {scale * float(np.std(values, ddof=1)):.{digits}f}"
