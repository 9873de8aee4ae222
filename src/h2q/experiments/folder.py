"""Where a run keeps what it did: results, embeddings, locks and failures, a file a job."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h2q._files import written_whole
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import FormatError
from h2q.experiments import locks
from h2q.experiments.jobs import Job
from h2q.experiments.results import Result
from h2q.experiments.storage import read_results, write_results


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
        self.path = as_path(path)
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

    def embeddings_of(self, job: Job) -> Path | None:
        """Where the embeddings of `job` are kept; None for those with a penalty.

        Only embeddings without a penalty are what later quantizations are made from. The files may
        be removed: what they held is trained again where it is needed.
        """
        if job.training.penalty != "none":
            return None
        return self.path / "embeddings" / f"{job.id}.safetensors"

    def kept(self, job: Job) -> list[Result]:
        """Results of `job` so far."""
        path = self.file_of(job)
        return read_results(path) if path.exists() else []

    def missing(self, job: Job, digest: str | None = None) -> tuple[str, ...]:
        """Quantizations of `job` that have no results yet.

        Parameters
        ----------
        job : Job
        digest : str, optional
            Results of another source count as none, except those of a training with a penalty,
            whose embeddings are not kept.
        """
        results = self.kept(job)
        if digest is not None and self.embeddings_of(job) is not None:
            results = [result for result in results if result.source_digest == digest]
        done = {result.quantization for result in results}
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
