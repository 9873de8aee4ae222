"""Doing the jobs of a grid: in this process, in several of this machine, or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from h2q._renamed import renamed
from h2q._typing import StrPath
from h2q.errors import H2QError, InvalidInputError
from h2q.experiments.data import open_for
from h2q.experiments.folder import JobFolder
from h2q.experiments.grid import Grid
from h2q.experiments.jobs import Job, make_jobs, run_job
from h2q.experiments.provenance import machine_class, source_digest
from h2q.experiments.storage import read_results, write_results

Outcome = Literal["done", "kept", "held", "failed"]
#: Told each job's outcome as it ends.
Progress = Callable[[Job, Outcome], None]
# One thread a process: several processes on few cores only wait for each other's threads.
_THREADS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class WorkerError(H2QError):
    """A worker process ended before its job did."""


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes
    ----------
    done, kept, held, failed : int
        Jobs done now; done before; being done by another worker; failed (see the folder's
        ``failed``).
    """

    done: int = 0
    kept: int = 0
    held: int = 0
    failed: int = 0

    def plus(self, outcome: Outcome) -> Summary:
        """Count one more."""
        counts = {**self.__dict__, outcome: getattr(self, outcome) + 1}
        return Summary(**counts)


@renamed(progress="on_progress")
def run_grid(
    grid: Grid,
    out: StrPath,
    *,
    workers: int = 1,
    ray: str | None = None,
    machine: str | None = None,
    refresh: bool = False,
    on_progress: Progress | None = None,
) -> Summary:
    """Do every job of a grid that the folder has no results of; gather all results in one file.

    Run it again and only what is missing is done, also after a kill; run it twice at once on one
    folder and the jobs are shared out.

    Parameters
    ----------
    grid : Grid
    out : path-like
        Folder of the run (`JobFolder`); all its results end up in ``results.parquet`` there.
    workers : int
        Processes of this machine; 1 works in this process. They share out the GPUs: with one a
        GPU each has its own, with more several share one, which small networks leave idle half of
        the time.
    ray : str, optional
        Address of a Ray cluster to work on instead ("auto", "HOST:PORT", "ray://HOST:PORT").
    machine : str, optional
        What results say they ran on; cores and accelerator, if not given.
    refresh : bool
        Judge again what another version of this source judged, from the kept embeddings; what was
        trained with a penalty stays as it is.
    on_progress : callable, optional
        Called with each job and its outcome.

    Returns
    -------
    Summary
    """
    if workers < 1:
        raise InvalidInputError(f"workers must be at least 1, got {workers}")
    jobs = make_jobs(grid)
    folder = JobFolder(out)
    folder.plan(jobs)
    summary = Summary()
    digest = source_digest() if refresh else None
    for job, outcome in _outcomes(jobs, folder, workers, ray, machine or machine_class(), digest):
        summary = summary.plus(outcome)
        if on_progress is not None:
            on_progress(job, outcome)
    if summary.done or summary.kept:
        write_results(folder.path / "results.parquet", read_results(folder.path))
    return summary


def _outcomes(
    jobs: list[Job],
    folder: JobFolder,
    workers: int,
    ray: str | None,
    machine: str,
    digest: str | None,
) -> Iterator[tuple[Job, Outcome]]:
    todo = []
    for job in jobs:
        if folder.missing(job, digest):
            todo.append(job)
        else:
            yield job, "kept"
    if ray is not None:
        from h2q.experiments.cluster import outcomes

        yield from outcomes(ray, todo, folder, machine, digest)
    elif workers == 1 or len(todo) <= 1:
        for job in todo:
            yield job, work(folder.path, job, machine, digest)
    else:
        yield from _pool(todo, folder, workers, machine, digest)


def _pool(
    jobs: list[Job], folder: JobFolder, workers: int, machine: str, digest: str | None
) -> Iterator[tuple[Job, Outcome]]:
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))  # inherited by what is spawned
    try:
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        begun = context.Value("i", 0)
        with ProcessPoolExecutor(
            workers, context, initializer=_begin, initargs=(begun, gpus())
        ) as pool:
            futures = {pool.submit(work, folder.path, job, machine, digest): job for job in jobs}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    except BrokenProcessPool as error:
        raise WorkerError(
            "a worker process was ended from outside (out of memory?); finished jobs are kept: "
            "run the same command again, with fewer workers"
        ) from error
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def gpus() -> list[str]:
    """Names of the GPUs this process may use, as CUDA_VISIBLE_DEVICES takes them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip()]
    try:
        import torch
    except ImportError:
        return []
    return [str(i) for i in range(torch.cuda.device_count())]


def _begin(begun: Any, names: list[str]) -> None:
    """Prepare a worker: a GPU of its own, or its share of one, and an end with its parent."""
    with begun.get_lock():
        number = begun.value
        begun.value += 1
    if names:  # before CUDA is first used in this process
        os.environ["CUDA_VISIBLE_DEVICES"] = names[number % len(names)]
    _end_with_parent()


def _end_with_parent() -> None:
    """End this worker when the process that started it dies, which may be by SIGKILL."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def work(path: Path, job: Job, machine: str, digest: str | None = None) -> Outcome:
    """Do one job of the folder at `path`, unless it is done or another worker holds it.

    With a `digest`, results of another source do not count as done.

    What goes wrong in a job is written to the folder and does not stop the other jobs.
    """
    folder = JobFolder(path)
    with folder.claim(job) as ours:
        if not ours:
            return "held"
        missing = folder.missing(job, digest)
        if not missing:
            return "kept"
        try:
            results = run_job(
                job,
                missing,
                open_for(job.training, job.dataset, job.backbone),
                machine=machine,
                kept=folder.embeddings_of(job),
                feature_cache=folder.path / "features",
                scratch=folder.path / "scratch",
                # A worker has one core for itself: more processes would be in each other's way.
                loaders=None if multiprocessing.parent_process() is None else 0,
            )
        except Exception:
            folder.fail(job, traceback.format_exc())
            return "failed"
        folder.add(job, results)
        return "done"
