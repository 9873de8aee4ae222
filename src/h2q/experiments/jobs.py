"""A job: one training and all that is judged from its embeddings."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from h2q._version import __version__
from h2q.experiments.data import GIVEN, digest_of
from h2q.experiments.embeddings import Embeddings, load_embeddings, save_embeddings
from h2q.experiments.grid import Grid, Source, Training
from h2q.experiments.judging import Figure, judge
from h2q.experiments.provenance import TRAINING, source_digest
from h2q.experiments.quantizers import QUANTIZATIONS
from h2q.experiments.results import Result
from h2q.experiments.training import given, labels_of, train

if TYPE_CHECKING:
    from h2q.datasets import Dataset

#: Part of every job's identity: raised when the same settings would give other results.
_PROTOCOL: Final = 1


@dataclass(frozen=True)
class Job:
    """What has to be known to do a job anywhere.

    Attributes
    ----------
    training : Training
    quantizations : tuple of str
        What is judged; not part of the identity, so that more can be asked for later.
    top : int
        Cut-off of mAP@k.
    dataset, backbone : Source
        Where they are opened from.
    data_digest : str
        Digest of the data set's content.
    """

    training: Training
    quantizations: tuple[str, ...]
    top: int
    dataset: Source
    backbone: Source
    data_digest: str

    @property
    def id(self) -> str:
        """Hash of the settings and the data; paths do not enter it."""
        identity = {**self.training.identity(), "top": self.top, "data": self.data_digest}
        text = json.dumps([_PROTOCOL, identity], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_jobs(grid: Grid, digest: Callable[[Source, Source], str] = digest_of) -> list[Job]:
    """List the jobs of a grid in their order.

    Parameters
    ----------
    grid : Grid
    digest : callable
        From data set and backbone to the digest of the data.
    """
    datasets = {source.name: source for source in grid.datasets}
    backbones = {source.name: source for source in grid.backbones}
    return [
        Job(
            training,
            grid.quantizations_of(training),
            grid.top,
            datasets[training.dataset],
            backbones[training.backbone],
            digest(datasets[training.dataset], backbones[training.backbone]),
        )
        for training in grid.trainings()
    ]


def run_job(
    job: Job,
    quantizations: tuple[str, ...],
    dataset: Dataset,
    *,
    machine: str,
    kept: Path | None = None,
    feature_cache: Path | None = None,
    scratch: Path | None = None,
    loaders: int | None = None,
) -> list[Result]:
    """Train, then judge each of `quantizations`; keeps no results.

    Parameters
    ----------
    job : Job
    quantizations : tuple of str
        Those of `job.quantizations` that are wanted.
    dataset : h2q.datasets.Dataset
        Opened `job.dataset`.
    machine : str
        What is written into the results.
    kept : Path, optional
        File that keeps the embeddings; where it has them already, nothing is trained.
    feature_cache, scratch, loaders : optional
        See `h2q.experiments.training.train`.
    """
    training = job.training
    digest = source_digest(TRAINING)
    embeddings = None if kept is None else load_embeddings(kept, labels_of(dataset), digest)
    if job.backbone.spec == GIVEN:
        embeddings = given(dataset)
    elif embeddings is None:
        embeddings = train(
            training,
            dataset,
            job.backbone.spec,
            feature_cache=feature_cache,
            scratch=scratch,
            loaders=loaders,
        )
        if kept is not None:
            save_embeddings(kept, embeddings, digest)
    common = _common(job, dataset, embeddings, machine)
    results: list[Result] = []
    for name in quantizations:
        chosen = QUANTIZATIONS[name]
        figures = judge(chosen, embeddings, training.seed, job.top)
        figures.append(Figure("train", "", "training_seconds", embeddings.seconds))
        figures.append(Figure("train", "", "training_cpu_seconds", embeddings.cpu_seconds))
        results += [
            Result(
                quantization=name,
                fitted_on=chosen.fitted_on,
                split=figure.split,
                ranking=figure.ranking,
                metric=figure.metric,
                value=float(figure.value),
                **common,
            )
            for figure in figures
        ]
    return results


def _common(job: Job, dataset: Dataset, embeddings: Embeddings, machine: str) -> dict[str, Any]:
    training = job.training
    return {
        "dataset": training.dataset,
        "backbone": training.backbone,
        "loss": training.loss,
        "bits": training.bits,
        "seed": training.seed,
        "penalty": embeddings.penalty,
        "penalty_weight": training.penalty_weight,
        **{f"n_{split}": len(items) for split, items in dataset.splits()},
        "n_classes": dataset.n_classes,
        "multilabel": dataset.is_multilabel,
        "epochs": training.epochs,
        "batch_size": training.batch_size,
        "learning_rate": training.learning_rate,
        "freeze_backbone": training.freeze_backbone,
        "data_digest": job.data_digest,
        "job": job.id,
        "machine": machine,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "h2q": __version__,
        "numpy": version("numpy"),
        "torch": version("torch"),
        "python": platform.python_version(),
        "source_digest": source_digest(),
    }
