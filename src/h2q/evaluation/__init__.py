"""Evaluation: how well codes retrieve, with honest ties, beside the real-valued bound.

`evaluate` gives all rankings in one pass; `mean_average_precision` and its like give one value.
Nothing here looks at how the codes were made.
"""

from __future__ import annotations

from h2q.evaluation._per_query import Normalisation, WithoutRelevant
from h2q.evaluation.average_precision import average_precision, mean_average_precision
from h2q.evaluation.code_statistics import CodeStatistics, code_statistics
from h2q.evaluation.curves import Curve, precision_at_k, precision_recall_curve, recall_at_k
from h2q.evaluation.lookup import (
    precision_recall_by_radius,
    precision_within_radius,
    radius_aware_map,
)
from h2q.evaluation.neighbours import neighbour_recall
from h2q.evaluation.quantization_error import QuantizationErrors, quantization_errors
from h2q.evaluation.ranking import RANKINGS, Ranking
from h2q.evaluation.report import Evaluation, evaluate

__all__ = [
    "RANKINGS",
    "CodeStatistics",
    "Curve",
    "Evaluation",
    "Normalisation",
    "QuantizationErrors",
    "Ranking",
    "WithoutRelevant",
    "average_precision",
    "code_statistics",
    "evaluate",
    "mean_average_precision",
    "neighbour_recall",
    "precision_at_k",
    "precision_recall_by_radius",
    "precision_recall_curve",
    "precision_within_radius",
    "quantization_errors",
    "radius_aware_map",
    "recall_at_k",
]
