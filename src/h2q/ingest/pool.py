"""Units done one after the other in this process, or side by side on a Ray cluster."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Final

from h2q._lazy import require
from h2q._ray import ClusterError, connected
from h2q.ingest.batches import in_batches
from h2q.ingest.units import Result, Unit, unit_from_json, unit_to_json
from h2q.ingest.workers import Task, Worker

#: Units handed to Ray Data at a time: what it keeps of each is bounded, and so is what a failure
#: of the whole pipeline costs.
_WINDOW: Final = 1000
#: Pipelines begun for one window before giving up; each goes on where the one before ended.
_ATTEMPTS: Final = 3
#: Times a unit is given to another worker after its worker died, within one pipeline.
_RETRIES: Final = 3


def do_units(
    units: Sequence[Unit], task: Task, *, ray: str | None = None, workers: int | None = None
) -> Iterator[Result]:
    """Yield the result of each unit, in the order of the units.

    On a cluster a unit whose worker or node dies is done again elsewhere; the order stays.

    Parameters
    ----------
    units : sequence of Unit
    task : Task
    ray : str, optional
        Address of a cluster ("auto", "HOST:PORT"); without it the work is done in this process.
    workers : int, optional
        Most workers at a time; by default one for each CPU (or GPU, if the task wants one).

    Raises
    ------
    ClusterError
        If no cluster answers, or units keep failing with their workers.
    """
    if not units:
        return
    if ray is None:
        worker = task.worker()
        for unit in units:
            yield worker(unit)
        return
    with connected(ray) as module:
        for window in in_batches(units, _WINDOW):
            yield from _window(module, window, task, workers)


def _window(ray: Any, units: Sequence[Unit], task: Task, workers: int | None) -> Iterator[Result]:
    done, failures = 0, 0
    while done < len(units):
        before = done
        try:
            for result in _pipeline(ray, units[done:], task, workers):
                done += 1
                yield result
        except ray.exceptions.RayError as error:
            # A worker that dies is Ray's to replace; here its whole pipeline has ended.
            failures = 1 if done > before else failures + 1
            if failures >= _ATTEMPTS:
                raise ClusterError(
                    f"workers keep dying at unit {units[done].number} of the work or just after it "
                    f"({failures} attempts; out of memory?): {_first_line(error)}; what was "
                    "finished is kept: the same command continues"
                ) from error


def _pipeline(ray: Any, units: Sequence[Unit], task: Task, workers: int | None) -> Iterator[Result]:
    data = require("ray.data", "ray")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    gpus = 1 if task.model is not None and _wants_gpu(ray, task) else 0
    has = ray.cluster_resources().get("GPU" if gpus else "CPU", 1)
    most = max(1, min(len(units), int(has), workers or int(has)))
    rows = [{"unit": unit_to_json(unit)} for unit in units]
    source = data.from_items(rows, override_num_blocks=len(rows))
    source.context.execution_options.preserve_order = True
    source.context.enable_progress_bars = False
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # of how retries are bounded; see extras
        done = source.map_batches(
            _Actor,
            fn_constructor_args=(ray.put(task),),
            batch_size=1,
            batch_format="numpy",
            compute=data.ActorPoolStrategy(size=most),
            num_cpus=None if gpus else 1,
            num_gpus=gpus or None,
            max_restarts=-1,
            max_task_retries=_RETRIES,
        )
    for row in done.iter_rows():
        yield Result.from_bytes(row["result"])


class _Actor:
    """A worker as Ray Data calls it: a batch is one unit."""

    def __init__(self, task: Any) -> None:
        import ray

        # Each worker has one CPU for itself; more threads would be in each other's way.
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = "1"
        told: Task = ray.get(task) if isinstance(task, ray.ObjectRef) else task
        if told.model is not None:
            import torch

            torch.set_num_threads(1)
        self._worker: Worker = told.worker()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        results = [self._worker(unit_from_json(str(text))) for text in batch["unit"]]
        return {"result": [result.to_bytes() for result in results]}


def _wants_gpu(ray: Any, task: Task) -> bool:
    if task.device.startswith("cuda"):
        return True
    return task.device == "auto" and ray.cluster_resources().get("GPU", 0) > 0


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
