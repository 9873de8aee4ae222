"""From results to means over seeds: lambda chosen on validation, then a cell for every case."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from h2q.experiments.quantizers import QUANTIZATIONS, TRAINED
from h2q.experiments.results import Result


class Case(NamedTuple):
    """What is held fixed when quantizations are compared."""

    dataset: str
    backbone: str
    loss: str
    bits: int


@dataclass(frozen=True)
class Cell:
    """A quantity of one case and quantization over the seeds.

    Attributes
    ----------
    by_seed : mapping of int to float
    weight : float
        Lambda of the training; 0 without a penalty.
    """

    by_seed: Mapping[int, float]
    weight: float = 0.0

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.by_seed.values())

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds (n - 1); None for one seed."""
        return statistics.stdev(self.by_seed.values()) if len(self.by_seed) > 1 else None


#: Cells by case, then by quantization in the order of the registry.
Cells = dict[Case, dict[str, Cell]]


def chosen_weights(results: Iterable[Result]) -> dict[tuple[Case, str], float]:
    """Lambda of each case and penalised quantization: the best mean validation mAP over seeds.

    Only weights with as many seeds as the best covered one compete, so that a run that is still
    going does not choose by luck.
    """
    scores: dict[tuple[Case, str], dict[float, dict[int, float]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for r in results:
        if r.quantization in TRAINED and r.split == "validation" and r.metric.startswith("mAP@"):
            scores[(Case(*r.case), r.quantization)][r.penalty_weight][r.seed] = r.value
    chosen = {}
    for key, by_weight in scores.items():
        most = max(len(seeds) for seeds in by_weight.values())
        full = {w: seeds for w, seeds in by_weight.items() if len(seeds) == most}
        chosen[key] = max(full, key=lambda w: (statistics.fmean(full[w].values()), -w))
    return chosen


def with_chosen_weights(results: Sequence[Result]) -> list[Result]:
    """Results without the trainings whose lambda was not chosen."""
    chosen = chosen_weights(results)
    return [
        r
        for r in results
        if r.quantization not in TRAINED
        or chosen.get((Case(*r.case), r.quantization)) == r.penalty_weight
    ]


def cells(
    results: Sequence[Result], *, metric: str, ranking: str = "", split: str = "query"
) -> Cells:
    """Cells of one quantity.

    Parameters
    ----------
    results : sequence of Result
        All of a run; lambda is chosen here.
    metric, ranking, split : str
        As in `Result`. A metric "mAP" means the mAP@k of the run.

    Returns
    -------
    dict of Case to dict of quantization to Cell
    """
    values: dict[Case, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    weights: dict[tuple[Case, str], float] = {}
    for r in with_chosen_weights(results):
        if (r.ranking, r.split) != (ranking, split) or not _is(r.metric, metric):
            continue
        case = Case(*r.case)
        values[case][r.quantization][r.seed] = r.value
        weights[(case, r.quantization)] = r.penalty_weight
    return {
        case: {
            name: Cell(values[case][name], weights[(case, name)])
            for name in QUANTIZATIONS
            if name in values[case]
        }
        for case in sorted(values)
    }


def _is(metric: str, wanted: str) -> bool:
    return metric == wanted or (
        wanted == "mAP" and metric.startswith("mAP@") and "r<" not in metric
    )


def bound(results: Sequence[Result]) -> dict[Case, Cell]:
    """Cells of the real-valued cosine bound of the plain training."""
    found = cells(results, metric="mAP", ranking="cosine")
    return {case: row["none"] for case, row in found.items() if "none" in row}
