"""The same jobs on a Ray cluster: data goes out through its object store, results come back.

Nodes need h2q with the extras ``train`` and ``paper`` installed, but no shared folder: the driver
alone reads the data and writes the results.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Literal

from h2q._ray import ClusterError, connected
from h2q.experiments.data import open_for
from h2q.experiments.folder import JobFolder
from h2q.experiments.jobs import Job, run_job
from h2q.experiments.provenance import machine_class
from h2q.experiments.results import Result

if TYPE_CHECKING:
    from h2q.datasets import Dataset

__all__ = ["ClusterError", "outcomes"]

_IN_FLIGHT: Final = 2  # jobs waiting a CPU of the cluster: no node idles, a kill loses little


def outcomes(
    address: str,
    jobs: list[Job],
    folder: JobFolder,
    machine: str | None = None,
    digest: str | None = None,
) -> Iterator[tuple[Job, Literal["done", "held", "failed"]]]:
    """Do `jobs` on the cluster at `address`, yielding each with its outcome as it ends.

    A job whose node dies is done again on another (Ray's own retries). With a `digest`, results of
    another source do not count as done; on a cluster no embeddings are kept, so that trains again.

    Raises
    ------
    ClusterError
        If no cluster answers at `address`.
    """
    with connected(address) as ray:
        yield from _share_out(ray, jobs, folder, machine, digest)


def _share_out(
    ray: Any, jobs: list[Job], folder: JobFolder, machine: str | None, digest: str | None
) -> Iterator[tuple[Job, Literal["done", "held", "failed"]]]:
    remote = ray.remote(num_cpus=1, max_retries=3)(_on_node)
    stored: dict[int, tuple[Dataset, Any]] = {}  # holding the data set keeps its id its own
    limit = max(2, _IN_FLIGHT * int(ray.cluster_resources().get("CPU", 1)))
    waiting = list(jobs)
    flying: dict[Any, tuple[Job, ExitStack]] = {}
    try:
        while waiting or flying:
            while waiting and len(flying) < limit:
                job = waiting.pop(0)
                stack = ExitStack()
                if not stack.enter_context(folder.claim(job)):
                    stack.close()
                    yield job, "held"
                    continue
                dataset = open_for(job.training, job.dataset, job.backbone)
                if id(dataset) not in stored:
                    stored[id(dataset)] = (dataset, ray.put(dataset))
                task = remote.remote(
                    job, folder.missing(job, digest), stored[id(dataset)][1], machine
                )
                flying[task] = (job, stack)
            if not flying:
                continue
            (task,), _ = ray.wait(list(flying), num_returns=1)
            job, stack = flying.pop(task)
            with stack:
                try:
                    folder.add(job, ray.get(task))
                except ray.exceptions.RayError as error:
                    folder.fail(job, str(error))
                    yield job, "failed"
                    continue
            yield job, "done"
    finally:
        for task, (_, stack) in flying.items():
            ray.cancel(task, force=True)
            stack.close()


def _on_node(
    job: Job, quantizations: tuple[str, ...], dataset: Dataset, machine: str | None
) -> list[Result]:
    import torch

    torch.set_num_threads(1)  # one CPU is what the task asked for
    return run_job(job, quantizations, dataset, machine=machine or machine_class(), loaders=0)
