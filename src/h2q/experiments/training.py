"""Stage 1 of a job: train as the setting says, and embed every split."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from h2q._lazy import require
from h2q.errors import InvalidInputError
from h2q.experiments.embeddings import Embeddings
from h2q.experiments.grid import Training
from h2q.experiments.provenance import has_gpu

if TYPE_CHECKING:
    from h2q.datasets import Dataset


def penalty_of(training: Training) -> str:
    """Name of the penalty in `h2q.learning.penalties`; "" for none.

    "penalty" is the loss's own term. CEL, HyP², HashNet and ADSH have none of their own; they get
    L2, the commonest.
    """
    if training.penalty == "none":
        return ""
    if training.penalty == "hswd":
        return "hswd"
    own = require("h2q.learning.penalties", "train").own_penalty(training.loss)
    return "l2" if own is None else str(own.name)


def train(
    training: Training,
    dataset: Dataset,
    backbone: str,
    *,
    feature_cache: Path | None = None,
    scratch: Path | None = None,
    loaders: int | None = None,
) -> Embeddings:
    """Train one setting.

    Parameters
    ----------
    training : Training
    dataset : h2q.datasets.Dataset
    backbone : str
        What `h2q.learning.backbones.create` opens.
    feature_cache : Path, optional
        Where the features of a frozen backbone are kept, for all jobs together.
    scratch : Path, optional
        Where the run folder lives while it is needed.
    loaders : int, optional
        Processes that read images; chosen by the number of cores if None.
    """
    learning = require("h2q.learning", "train")
    penalty = penalty_of(training)
    options: dict[str, Any] = {}
    if penalty:
        options = {"penalty": penalty, "penalty_weight": training.penalty_weight}
    with tempfile.TemporaryDirectory(dir=scratch, prefix="training-") as folder:
        began, cpu_began = time.perf_counter(), time.process_time()
        result = learning.fit(
            dataset,
            out=folder,
            backbone=backbone,
            loss=training.loss,
            n_bits=training.bits,
            epochs=training.epochs,
            patience=None,
            batch_size=training.batch_size,
            learning_rate=training.learning_rate,
            freeze_backbone=training.freeze_backbone,
            image_size=training.image_size,
            augment=training.augment,
            precision=training.precision,
            schedule=training.schedule,
            validation_rows=training.validation_rows,
            random_state=training.seed,
            quantizer="none",
            feature_cache=feature_cache,
            resume=False,
            progress=False,
            num_workers=loaders,
            **options,
        )
        seconds = time.perf_counter() - began
        cpu_seconds = time.process_time() - cpu_began
    model = result.model
    if model.preprocessing is not None:
        model.to("cuda" if has_gpu() else "cpu")
    rows = {
        split: model.embed_items(items, batch_size=256, num_workers=loaders)
        for split, items in dataset.splits()
        if len(items) > 0
    }
    return Embeddings(rows, labels_of(dataset), penalty, seconds, cpu_seconds)


def labels_of(dataset: Dataset) -> dict[str, Any]:
    """Labels of the splits that have items."""
    return {split: items.labels for split, items in dataset.splits() if len(items) > 0}


def given(dataset: Dataset) -> Embeddings:
    """Take the features of a data set as the embeddings: they were learned elsewhere.

    Raises
    ------
    InvalidInputError
        If it holds no features.
    """
    rows = {}
    for split, items in dataset.splits():
        if items.features is None:
            raise InvalidInputError(f"{dataset.name} holds images, and no embeddings to judge")
        if len(items) > 0:
            rows[split] = items.features
    return Embeddings(rows, labels_of(dataset), "", 0.0, 0.0)
