"""A real Ray cluster of two nodes: two raylets on this machine, one CPU each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil


@contextmanager
def two_nodes() -> Iterator[tuple[Any, Any]]:
    """Yield the cluster, which has an `address`, and its second node."""
    import ray
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    # Ray's workers are nice 15 by default: on a busy machine the test would last for minutes.
    head = {**small, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    try:
        second = nodes.add_node(**small)
        nodes.wait_for_nodes()
        yield nodes, second
    finally:
        if ray.is_initialized():
            ray.shutdown()
        nodes.shutdown()


def workers_of_this_cluster() -> list[psutil.Process]:
    """Processes below this one that run a worker of Ray Data."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] and process.cmdline()[0].startswith("ray::MapWorker"):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found
