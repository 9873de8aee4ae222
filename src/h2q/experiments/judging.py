"""Stage 2 of a job: from embeddings to codes by one quantization, and what they are worth."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q.evaluation import code_statistics, evaluate, mean_average_precision
from h2q.evaluation.ranking import Ranking
from h2q.experiments.embeddings import Embeddings
from h2q.experiments.provenance import has_gpu
from h2q.experiments.quantizers import Quantization
from h2q.quantization import BaseQuantizer

#: Rankings of codes. The cosine bound does not see the rotation and is judged once a training.
CODED: tuple[Ranking, ...] = ("hamming", "asymmetric", "embedding")
_STATISTICS = ("imbalance", "correlation", "code_entropy", "distinct")


@dataclass(frozen=True)
class Figure:
    """A number, and what it is a number of (see `h2q.experiments.Result`)."""

    split: str
    ranking: str
    metric: str
    value: float


def fit_quantizer(
    quantization: Quantization, embeddings: Embeddings, seed: int
) -> tuple[BaseQuantizer, float, float]:
    """Fit on the rows the quantization is fitted on; also the wall and processor seconds."""
    rows = embeddings.rows["train"]
    if quantization.fitted_on == "train+database":
        rows = np.concatenate([rows, embeddings.rows["database"]])
    estimator = quantization.estimator(seed)
    began, cpu_began = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        # Rows of zeros are counted below; fewer rows than bits happens in small presets.
        warnings.simplefilter("ignore", UserWarning)
        estimator.fit(rows)
    return estimator, time.perf_counter() - began, time.process_time() - cpu_began


def judge(quantization: Quantization, embeddings: Embeddings, seed: int, top: int) -> list[Figure]:
    """Fit, code, rank.

    Parameters
    ----------
    quantization : Quantization
    embeddings : Embeddings
    seed : int
        Of the quantizer.
    top : int
        Cut-off of mAP@k.

    Returns
    -------
    list of Figure
        mAP@top, precision@top and recall@top in each ranking; precision, recall and mAP within
        Hamming radius 2; L2 and L1 quantization error on training rows and on the database;
        statistics of the database's codes; mAP of validation items against training items.
    """
    estimator, seconds, cpu_seconds = fit_quantizer(quantization, embeddings, seed)
    query, database = (rotate(estimator, embeddings.rows[s]) for s in ("query", "database"))
    rankings: tuple[Ranking, ...] = CODED
    if quantization.family == "none":
        rankings = (*CODED, "cosine")
    found = evaluate(
        _where_it_is_fast(query),
        _where_it_is_fast(database),
        embeddings.labels["query"],
        embeddings.labels["database"],
        k=top,
        ranks=rankings,
        radii=(2,),
    )
    figures = [Figure("query", row["ranking"], row["metric"], row["value"]) for row in found.rows()]
    training = rotate(estimator, embeddings.rows["train"])
    for split, rows in (("train", training), ("database", database)):
        gap = np.abs(np.abs(rows[np.any(rows, axis=1)]) - 1)
        figures.append(Figure(split, "", "quantization_error", float(np.mean(gap**2))))
        figures.append(Figure(split, "", "quantization_error_l1", float(np.mean(gap))))
    statistics = code_statistics(database).to_dict()
    figures += [Figure("database", "", name, float(statistics[name])) for name in _STATISTICS]
    figures.append(Figure("train", "", "quantizer_seconds", seconds))
    figures.append(Figure("train", "", "quantizer_cpu_seconds", cpu_seconds))
    if "validation" in embeddings.rows:
        value = mean_average_precision(
            rotate(estimator, embeddings.rows["validation"]),
            training,
            embeddings.labels["validation"],
            embeddings.labels["train"],
            rank="hamming",
            k=top,
        )
        figures.append(Figure("validation", "hamming", f"mAP@{top}", value))
    return figures


def _where_it_is_fast(rows: NDArray[Any]) -> Any:
    """Bring rows to a GPU where there is one: rankings are computed where they are."""
    if not has_gpu():
        return rows
    import torch

    return torch.from_numpy(np.ascontiguousarray(rows)).cuda()


def rotate(estimator: BaseQuantizer, rows: NDArray[np.float32]) -> NDArray[Any]:
    """Rotated rows; a row of zeros, which has no direction, stays zero (all bits 0)."""
    some = np.any(rows, axis=1)
    if some.all():
        return np.asarray(estimator.rotate(rows))
    rotated = np.zeros_like(rows)
    if some.any():
        rotated[some] = estimator.rotate(rows[some])
    return rotated
