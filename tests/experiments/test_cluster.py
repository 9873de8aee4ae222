"""The jobs on a real Ray cluster of two nodes (two raylets on this machine)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from h2q.experiments import JobFolder, make_grid, read_results, run_grid
from h2q.experiments.cluster import ClusterError
from h2q.experiments.workers import Summary

ray = pytest.importorskip("ray", reason="the cluster needs the extra 'ray'")
pytest.importorskip("lightning", reason="training needs the extra 'train'")
TINY = make_grid(
    "digits", losses=("cel",), bits=(8,), seeds=(0,), epochs=1, quantizations=("none", "itq")
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU each; they end with the module."""
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    # Ray's workers are nice 15 by default: on a busy machine the test would last for minutes.
    head = {**small, "include_dashboard": False, "_system_config": {"worker_niceness": 0}}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes.add_node(**small)
        nodes.wait_for_nodes()
        yield nodes
    finally:
        if ray.is_initialized():
            ray.shutdown()
        nodes.shutdown()


@pytest.mark.slow
def test_the_cluster_gives_the_results_of_this_process(cluster: Any, tmp_path: Path) -> None:
    grid = dataclasses.replace(TINY, losses=("cel", "no_such_loss"))
    summary = run_grid(grid, tmp_path / "cluster", ray=cluster.address)
    assert summary == Summary(done=1, failed=1)
    assert "no_such_loss" in "".join(JobFolder(tmp_path / "cluster").failures().values())
    assert run_grid(TINY, tmp_path / "here") == Summary(done=1)

    def figures(name: str) -> dict[tuple[str, ...], float]:
        return {
            (r.quantization, r.split, r.ranking, r.metric): r.value
            for r in read_results(tmp_path / name / "results.parquet")
            if r.split in ("query", "validation")
        }

    assert figures("cluster") == pytest.approx(figures("here"), abs=1e-6)
    assert run_grid(TINY, tmp_path / "cluster", ray=cluster.address) == Summary(kept=1)


@pytest.mark.slow
def test_both_nodes_work(cluster: Any) -> None:
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        assert len([node for node in ray.nodes() if node["Alive"]]) == 2

        @ray.remote(num_cpus=1)
        def where() -> str:
            import time

            time.sleep(2)
            return str(ray.get_runtime_context().get_node_id())

        assert len(set(ray.get([where.remote(), where.remote()]))) == 2
    finally:
        ray.shutdown()


def test_an_address_without_a_cluster_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="ray start --head"):
        run_grid(TINY, tmp_path, ray="127.0.0.1:1")
