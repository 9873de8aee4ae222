"""One figure of the experiment, with everything it depends on: a row of the results file."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """A row.

    Attributes
    ----------
    dataset, backbone, loss, quantization, bits, seed
        The case.
    ranking : str
        "hamming", "asymmetric", "embedding", "cosine" (the bound), "lookup" (by Hamming radius),
        or "" for what needs no ranking (errors of quantization, statistics of codes, times).
    metric : str
        "mAP@5000", "quantization_error", "training_seconds", ...
    value : float
        mAP and its like as fractions of 1; ``*_seconds`` of wall time, ``*_cpu_seconds`` of
        processor time (what to compare on a busy machine).
    split : str
        "query": queries against the database. "validation": validation items against training
        items, by which lambda is chosen. "train" and "database": the rows a statistic is of.
    penalty : str
        Name of the penalty that was trained with; "" for none.
    penalty_weight : float
        Its weight lambda.
    fitted_on : str
        Rows the rotation was fitted on.
    n_train, n_validation, n_query, n_database, n_classes : int
        Sizes.
    multilabel : bool
    epochs, batch_size, learning_rate, freeze_backbone
        Of the training.
    data_digest : str
        Start of the SHA-256 of the data set's arrays: equal digests, equal data.
    job : str
        Identity of the job: settings and data.
    machine : str
        What it ran on, in words; times compare only within one.
    finished : str
        UTC, ISO 8601.
    h2q, numpy, torch, python : str
        Versions.
    source_digest : str
        Start of the SHA-256 of h2q's own source: equal digests, equal code.
    """

    dataset: str
    backbone: str
    loss: str
    quantization: str
    bits: int
    seed: int
    ranking: str
    metric: str
    value: float
    split: str
    penalty: str
    penalty_weight: float
    fitted_on: str
    n_train: int
    n_validation: int
    n_query: int
    n_database: int
    n_classes: int
    multilabel: bool
    epochs: int
    batch_size: int
    learning_rate: float
    freeze_backbone: bool
    data_digest: str
    job: str
    machine: str
    finished: str
    h2q: str
    numpy: str
    torch: str
    python: str
    source_digest: str

    def to_dict(self) -> dict[str, Any]:
        """Return names and values."""
        return dataclasses.asdict(self)

    @property
    def case(self) -> tuple[str, str, str, int]:
        """What a mean over seeds is taken of, apart from the quantization."""
        return (self.dataset, self.backbone, self.loss, self.bits)


#: Column names and their Python types, in order.
COLUMNS: dict[str, type] = typing.get_type_hints(Result)
