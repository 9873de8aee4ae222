"""A job: one training and all that is judged from its embeddings; done once, kept whole."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from h2q._files import written_whole
from h2q._typing import StrPath
from h2q._version import __version__
from h2q.errors import FormatError
from h2q.experiments import locks
from h2q.experiments.data import GIVEN, digest_of
from h2q.experiments.grid import Grid, Source, Training
from h2q.experiments.judging import Figure, judge
from h2q.experiments.quantizers import QUANTIZATIONS
from h2q.experiments.results import Result
from h2q.experiments.storage import read_results, write_results
from h2q.experiments.training import Embeddings, given, train

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
        identity = {**self.training.to_dict(), "top": self.top, "data": self.data_digest}
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


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes
    ----------
    planned, finished, running : int
        Jobs.
    failures : dict of str to str
        Title and traceback of each failed job, by id.
    """

    planned: int
    finished: int
    running: int
    failures: dict[str, str]


class JobFolder:
    """Where a run keeps its results: one Parquet file a job, and locks.

    Parameters
    ----------
    path : path-like
        Made if it is absent. Several workers, of one machine or of several that share the folder,
        may use it at once.
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        for name in ("jobs", "locks", "failed", "scratch"):
            (self.path / name).mkdir(parents=True, exist_ok=True)

    def plan(self, jobs: Iterable[Job]) -> None:
        """Remember what a run set out to do, beside what earlier runs did."""
        known = self.planned()
        for job in jobs:
            before = known.get(job.id, {}).get("quantizations", [])
            names = [*before, *(name for name in job.quantizations if name not in before)]
            known[job.id] = {"title": job.training.title, "quantizations": names}
        with written_whole(self.path / "plan.json") as file:
            file.write(json.dumps(known, indent=1).encode())

    def planned(self) -> dict[str, dict[str, Any]]:
        """Title and quantizations of every job that was set out to be done, by id."""
        path = self.path / "plan.json"
        if not path.exists():
            return {}
        try:
            known: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise FormatError(f"{path} is damaged ({error}); remove it and run again") from error
        return known

    def status(self) -> Status:
        """Count what is done, and list what failed."""
        done: dict[str, set[str]] = {}
        if any((self.path / "jobs").glob("*.parquet")):
            for result in read_results(self.path):
                done.setdefault(result.job, set()).add(result.quantization)
        planned = self.planned()
        finished = sum(
            set(entry["quantizations"]) <= done.get(job, set()) for job, entry in planned.items()
        )
        return Status(len(planned), finished, len(self.running()), self.failures())

    def running(self) -> list[str]:
        """Ids of the jobs that a worker holds now."""
        found = sorted((self.path / "locks").iterdir())
        return [path.name for path in found if locks.is_held(path)]

    def file_of(self, job: Job) -> Path:
        """Results of `job`."""
        return self.path / "jobs" / f"{job.id}.parquet"

    def kept(self, job: Job) -> list[Result]:
        """Results of `job` so far."""
        path = self.file_of(job)
        return read_results(path) if path.exists() else []

    def missing(self, job: Job) -> tuple[str, ...]:
        """Quantizations of `job` that have no results yet."""
        done = {result.quantization for result in self.kept(job)}
        return tuple(name for name in job.quantizations if name not in done)

    def add(self, job: Job, results: Iterable[Result]) -> None:
        """Keep results beside those `job` has; the file is replaced whole."""
        new = list(results)
        names = {result.quantization for result in new}
        old = [result for result in self.kept(job) if result.quantization not in names]
        write_results(self.file_of(job), [*old, *new])
        self._failure(job).unlink(missing_ok=True)

    def fail(self, job: Job, text: str) -> None:
        """Note why a job could not be done; it is tried again by the next run."""
        self._failure(job).write_text(f"{job.training.title}\n{text}\n", encoding="utf-8")

    def failures(self) -> dict[str, str]:
        """Texts of `fail` by job id."""
        return {
            path.stem: path.read_text(encoding="utf-8")
            for path in sorted((self.path / "failed").glob("*.txt"))
        }

    def _failure(self, job: Job) -> Path:
        return self.path / "failed" / f"{job.id}.txt"

    @contextmanager
    def claim(self, job: Job) -> Iterator[bool]:
        """Hold `job`; yields False where another worker holds it.

        The lock is the operating system's, so it goes when its holder dies, however it dies.
        """
        with locks.held(self.path / "locks" / job.id) as ours:
            yield ours


def run_job(
    job: Job,
    quantizations: tuple[str, ...],
    dataset: Dataset,
    *,
    machine: str,
    feature_cache: Path | None = None,
    scratch: Path | None = None,
    loaders: int | None = None,
) -> list[Result]:
    """Train, then judge each of `quantizations`; writes nothing.

    Parameters
    ----------
    job : Job
    quantizations : tuple of str
        Those of `job.quantizations` that are wanted.
    dataset : h2q.datasets.Dataset
        Opened `job.dataset`.
    machine : str
        What is written into the results.
    feature_cache, scratch, loaders : optional
        See `h2q.experiments.training.train`.
    """
    training = job.training
    if job.backbone.spec == GIVEN:
        embeddings = given(dataset)
    else:
        embeddings = train(
            training,
            dataset,
            job.backbone.spec,
            feature_cache=feature_cache,
            scratch=scratch,
            loaders=loaders,
        )
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


@lru_cache
def source_digest() -> str:
    """Start of the SHA-256 of the rooms that results depend on; versions alone miss local edits."""
    root = Path(__file__).parents[1]
    state = hashlib.sha256()
    for room in ("datasets", "evaluation", "learning", "quantization", "experiments"):
        for path in sorted((root / room).rglob("*.py")):
            state.update(path.relative_to(root).as_posix().encode())
            state.update(path.read_bytes())
    return state.hexdigest()[:16]


def machine_class() -> str:
    """Say what this machine is in words that name nobody's: cores and accelerator."""
    cores = len(os.sched_getaffinity(0))
    words = f"{cores} core{'s' if cores > 1 else ''}"
    import torch

    if torch.cuda.is_available():
        words += f", {torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    return words
