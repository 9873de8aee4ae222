"""Results made by hand, so that every number of a table can be told beforehand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from h2q.experiments.results import Result

pytest.importorskip("pyarrow", reason="results are Parquet files: pip install 'h2q[paper]'")

_BASE = Result(
    dataset="cifar10",
    backbone="alexnet",
    loss="cel",
    quantization="none",
    bits=16,
    seed=0,
    ranking="hamming",
    metric="mAP@5000",
    value=0.5,
    split="query",
    penalty="",
    penalty_weight=0.0,
    fitted_on="train",
    n_train=5000,
    n_validation=1000,
    n_query=1000,
    n_database=53000,
    n_classes=10,
    multilabel=False,
    epochs=20,
    batch_size=128,
    learning_rate=1e-3,
    freeze_backbone=False,
    data_digest="0" * 16,
    job="1" * 16,
    machine="2 cores",
    finished="2026-01-01T00:00:00+00:00",
    h2q="0.1.0",
    numpy="2",
    torch="2",
    python="3.11",
    source_digest="2" * 16,
)

MakeResult = Callable[..., Result]


@pytest.fixture(scope="session")
def make_result() -> MakeResult:
    """A result with some fields changed."""

    def make(**changes: object) -> Result:
        return dataclasses.replace(_BASE, **changes)

    return make


@pytest.fixture(scope="session")
def small_run(make_result: MakeResult) -> list[Result]:
    """Two losses, two lengths, two seeds; +1 point for each better quantization; a lambda search.

    "itq" is 3 points ahead of "none", "h2q" 5, "random" 2 behind, "penalty" (at the lambda that
    validation prefers) 1 ahead.
    """
    gain = {"none": 0.0, "random": -0.02, "itq": 0.03, "h2q": 0.05, "h2q-l2": 0.04}
    results = []
    for loss in ("cel", "dch"):
        for bits in (16, 32):
            for seed in (0, 1):
                base = 0.5 + 0.01 * seed + 0.001 * bits + (0.02 if loss == "dch" else 0.0)
                here = {"loss": loss, "bits": bits, "seed": seed}
                for ranking in ("hamming", "asymmetric", "embedding"):
                    for name, points in gain.items():
                        results.append(
                            make_result(
                                **here, ranking=ranking, quantization=name, value=base + points
                            )
                        )
                    for weight, validation, query in ((0.1, 0.7, 0.01), (1.0, 0.6, 0.2)):
                        penalised = {**here, "quantization": "penalty", "penalty": "l2"}
                        penalised["penalty_weight"] = weight
                        results.append(
                            make_result(**penalised, ranking=ranking, value=base + query)
                        )
                        if ranking == "hamming":
                            results.append(
                                make_result(
                                    **penalised,
                                    ranking=ranking,
                                    split="validation",
                                    value=validation,
                                )
                            )
                            results += _times(make_result, penalised)
                results.append(make_result(**here, ranking="cosine", value=0.9))
                for name in gain:
                    named = {**here, "quantization": name}
                    results += _times(make_result, named)
                    results.append(
                        make_result(
                            **named,
                            ranking="",
                            split="database",
                            metric="quantization_error",
                            value=0.3 - gain[name],
                        )
                    )
    return results


def _times(make_result: MakeResult, fields: dict[str, object]) -> list[Result]:
    what = {"training_cpu_seconds": 10.0, "quantizer_cpu_seconds": 1.0}
    return [
        make_result(**fields, ranking="", split="train", metric=metric, value=value)
        for metric, value in what.items()
    ]
