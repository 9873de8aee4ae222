from __future__ import annotations

import numpy as np
import pytest

from h2q import ITQQuantizer
from h2q.evaluation import mean_average_precision
from h2q.experiments.embeddings import Embeddings
from h2q.experiments.judging import Figure, judge
from h2q.experiments.quantizers import QUANTIZATIONS

K = 16


@pytest.fixture(scope="module")
def embeddings() -> Embeddings:
    rng = np.random.default_rng(0)
    sizes = {"train": 300, "validation": 60, "query": 40, "database": 200}
    centres = rng.standard_normal((5, K))
    labels = {split: rng.integers(0, 5, n) for split, n in sizes.items()}
    rows = {
        split: (centres[y] + 0.7 * rng.standard_normal((len(y), K))).astype(np.float32)
        for split, y in labels.items()
    }
    return Embeddings(rows, labels, "", 1.0, 1.0)


def values(figures: list[Figure]) -> dict[tuple[str, str, str], float]:
    return {(f.split, f.ranking, f.metric): f.value for f in figures}


@pytest.mark.parametrize("ranking", ["hamming", "asymmetric", "embedding"])
def test_map_is_that_of_the_quantizer_fitted_on_the_training_rows(
    embeddings: Embeddings, ranking: str
) -> None:
    quantizer = ITQQuantizer(random_state=3).fit(embeddings.rows["train"])
    expected = mean_average_precision(
        quantizer.rotate(embeddings.rows["query"]),
        quantizer.rotate(embeddings.rows["database"]),
        embeddings.labels["query"],
        embeddings.labels["database"],
        rank=ranking,
        k=50,
    )
    found = values(judge(QUANTIZATIONS["itq"], embeddings, seed=3, top=50))
    assert found[("query", ranking, "mAP@50")] == pytest.approx(expected)
    error = quantizer.quantization_error(embeddings.rows["database"])
    assert found[("database", "", "quantization_error")] == pytest.approx(error, rel=1e-4)


def test_the_bound_is_judged_where_nothing_is_rotated(embeddings: Embeddings) -> None:
    none = values(judge(QUANTIZATIONS["none"], embeddings, seed=0, top=50))
    itq = values(judge(QUANTIZATIONS["itq"], embeddings, seed=0, top=50))
    assert none[("query", "cosine", "mAP@50")] > none[("query", "hamming", "mAP@50")]
    assert ("query", "cosine", "mAP@50") not in itq


def test_fitting_on_the_database_too_gives_another_rotation_with_less_error_there(
    embeddings: Embeddings,
) -> None:
    key = ("database", "", "quantization_error")
    train = values(judge(QUANTIZATIONS["h2q"], embeddings, seed=0, top=50))
    both = values(judge(QUANTIZATIONS["h2q-db"], embeddings, seed=0, top=50))
    assert both[key] < train[key]


def test_rows_of_zeros_are_coded_as_zeros_and_do_not_stop_the_job(
    embeddings: Embeddings,
) -> None:
    rows = {split: block.copy() for split, block in embeddings.rows.items()}
    rows["database"][:3] = 0
    rows["query"][0] = 0
    hurt = Embeddings(rows, embeddings.labels, "", 1.0, 1.0)
    found = values(judge(QUANTIZATIONS["h2q"], hurt, seed=0, top=50))
    assert all(np.isfinite(value) for value in found.values())


def test_without_validation_items_there_is_no_validation_figure(embeddings: Embeddings) -> None:
    rows = {s: r for s, r in embeddings.rows.items() if s != "validation"}
    found = judge(QUANTIZATIONS["none"], Embeddings(rows, embeddings.labels, "", 1.0, 1.0), 0, 50)
    assert not any(figure.split == "validation" for figure in found)
