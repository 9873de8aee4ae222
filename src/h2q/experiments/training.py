"""Stage 1 of a job: train as the setting says, and embed every split."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from h2q._lazy import require
from h2q.errors import InvalidInputError
from h2q.experiments.grid import Training

if TYPE_CHECKING:
    from h2q.datasets import Dataset


@dataclass(frozen=True, eq=False)
class Embeddings:
    """What a training leaves for the quantizers.

    Attributes
    ----------
    rows : mapping of str to ndarray of float32, shape (n, k)
        Embeddings z of each split, before any rotation.
    labels : mapping of str to ndarray
        Integer classes (n,) or multi-hot (n, c).
    penalty : str
        Name of the penalty trained with; "" for none.
    seconds, cpu_seconds : float
        Wall and processor time of the training, without the embedding of queries and database.
    """

    rows: Mapping[str, NDArray[np.float32]]
    labels: Mapping[str, NDArray[Any]]
    penalty: str
    seconds: float
    cpu_seconds: float


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
    rows = {
        split: result.model.embed_items(items, batch_size=256, num_workers=loaders)
        for split, items in dataset.splits()
        if len(items) > 0
    }
    labels = {split: items.labels for split, items in dataset.splits() if len(items) > 0}
    return Embeddings(rows, labels, penalty, seconds, cpu_seconds)


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
    labels = {split: items.labels for split, items in dataset.splits() if split in rows}
    return Embeddings(rows, labels, "", 0.0, 0.0)
