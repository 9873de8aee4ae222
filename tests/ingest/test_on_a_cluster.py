"""The same work on a real Ray cluster of two nodes, a worker and a node killed in the middle.

The sources of some of it lie in an object store: moto's S3 server on loopback, asked through s3fs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2q._ray import ClusterError
from h2q.collections import open_collection
from h2q.ingest import bulk_encode, bulk_index_photos, bulk_index_rows, fit_shards, pool
from h2q.ingest.pool import do_units
from h2q.ingest.units import row_units
from h2q.ingest.workers import Task
from h2q.rowfiles import find_shards, read_shard
from tests.ingest.conftest import rows_of
from tests.ingest.test_index_rows import contents
from tests.ray_cluster import two_nodes, workers_of_this_cluster

pytest.importorskip("ray", reason="the cluster needs the extra 'ray'")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """A bucket of an S3 server of this process; its address is in the environment."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    before = dict(os.environ)
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://{host}:{port}",
        AWS_ACCESS_KEY_ID="nobody",
        AWS_SECRET_ACCESS_KEY="nothing",  # noqa: S106
        AWS_DEFAULT_REGION="us-east-1",
    )
    try:
        import s3fs

        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket"
    finally:
        server.stop()
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="module")
def cluster(s3: str) -> Iterator[tuple[Any, Any]]:
    """Two nodes; their workers know the S3 server from the environment."""
    with two_nodes() as nodes:
        yield nodes


@pytest.fixture(scope="module")
def joined(cluster: tuple[Any, Any]) -> Iterator[str]:
    """Address of the cluster, which this process has joined already: joining takes seconds."""
    import ray

    ray.init(address=cluster[0].address, log_to_driver=False, logging_level=logging.ERROR)
    yield cluster[0].address
    ray.shutdown()


def put(source: Path, url: str) -> None:
    import s3fs

    s3fs.S3FileSystem().put(str(source), url, recursive=True)


def test_a_killed_worker_and_a_killed_node(
    cluster: tuple[Any, Any], shards: Path, quantizer: Any, tmp_path: Path
) -> None:
    nodes, second = cluster
    for seed in range(3, 6):
        np.save(shards / f"z{seed}.npy", rows_of(seed))
    with open_collection(str(tmp_path / "here.h2q"), quantizer=quantizer) as here:
        bulk_index_rows(str(shards), here, journal=tmp_path / "here", unit_size=25)
        want = contents(here)
    assert len(want) == 3000
    killed: list[str] = []

    def kill(done: int, total: int) -> None:
        if done >= total // 8 and not killed:
            working = workers_of_this_cluster()
            assert len(working) == 2, working
            working[0].kill()
            killed.append("worker")
        elif done >= total // 2 and len(killed) == 1:
            nodes.remove_node(second, allow_graceful=False)
            killed.append("node")
            assert done < total

    with open_collection(str(tmp_path / "ray.h2q"), quantizer=quantizer) as collection:
        report = bulk_index_rows(
            str(shards), collection, journal=tmp_path / "ray", unit_size=25, ray=nodes.address,
            on_progress=kill,
        )  # fmt: skip
        assert killed == ["worker", "node"]
        assert (report.added, report.updated, report.unchanged) == (3000, 0, 0)
        # Everything once, and in the order in which one process adds it.
        assert contents(collection) == want
        assert len(collection) == 3000
        again = bulk_index_rows(
            str(shards), collection, journal=tmp_path / "ray", unit_size=25, ray=nodes.address
        )
        assert (again.added, again.updated, again.unchanged) == (0, 0, 3000)
    nodes.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    nodes.wait_for_nodes()


def test_photos_of_an_object_store(
    joined: str, s3: str, photos: Path, model: bytes, tmp_path: Path
) -> None:
    pytest.importorskip("lightning", reason="the model needs the extra 'train'")
    (photos / "cats" / "broken.png").write_bytes(b"no picture")
    put(photos, f"{s3}/photos")
    made_with = {"n_bits": 16, "model": model}
    options: dict[str, Any] = {"unit_size": 4, "batch_size": 4, "device": "cpu"}
    source = f"{s3}/photos"
    with open_collection(str(tmp_path / "here.h2q"), **made_with) as here:
        bulk_index_photos(source, here, model, **options)
        want = contents(here)
    killed: list[int] = []

    def kill(done: int, total: int) -> None:
        if done >= 12 and not killed:
            process = workers_of_this_cluster()[0]
            process.kill()
            killed.append(process.pid)

    with open_collection(str(tmp_path / "ray.h2q"), **made_with) as collection:
        report = bulk_index_photos(
            source, collection, model, **options, ray=joined, on_progress=kill
        )
        assert killed
        assert (report.added, report.updated) == (60, 0)
        assert [each.path for each in report.skipped] == [f"{source}/cats/broken.png"]
        assert contents(collection) == want
        payload = collection.get(["cats/01.png"])[0].payload
        assert (payload["folder"], payload["label"]) == (source, "cats")
        again = bulk_index_photos(source, collection, model, **options)
        assert (again.unchanged, again.added) == (60, 0)


@pytest.mark.parametrize("form", ["npz", "parquet"])
def test_from_store_to_store(joined: str, s3: str, shards: Path, quantizer: Any, form: str) -> None:
    put(shards, f"{s3}/shards-{form}")
    out = f"{s3}/codes-{form}"
    report = bulk_encode(
        f"{s3}/shards-{form}", quantizer, out, form=form, unit_size=200, ray=joined
    )
    assert (report.rows, report.parts, report.kept) == (1500, 9, 0)
    found = [read_shard(shard, 0, shard.n_rows) for shard in find_shards(out)]
    rows = np.concatenate([rows_of(seed) for seed in range(3)])
    codes = np.concatenate([part.values for part in found])
    np.testing.assert_array_equal(codes, quantizer.transform(rows))
    again = bulk_encode(f"{s3}/shards-{form}", quantizer, out, form=form, unit_size=200)
    assert again.kept == 9


def test_fitting_from_a_store(s3: str, shards: Path) -> None:
    from h2q import HouseholderQuantizer

    put(shards, f"{s3}/fit")
    streamed = HouseholderQuantizer(n_bits=16, random_state=0)
    fit_shards(f"{s3}/fit/*.npy", streamed)
    whole = HouseholderQuantizer(n_bits=16, random_state=0)
    whole.fit(np.concatenate([rows_of(0), rows_of(1)]))
    np.testing.assert_allclose(streamed.rotation_, whole.rotation_, atol=1e-4)


def test_the_command_on_the_cluster(
    h2q: Any, joined: str, shards: Path, quantizer: Any, tmp_path: Path
) -> None:
    quantizer.save(tmp_path / "q.safetensors")
    items = tmp_path / "items.h2q"
    args = ["index", f"{shards}/*.npy", "--collection", items, "--ray", joined]
    done = h2q("--quiet", *args, "--quantizer", tmp_path / "q.safetensors")
    assert done.code == 0, done
    assert done.out.startswith("1,000 added")
    assert (tmp_path / "items.h2q.units").exists()


def test_a_unit_that_ends_every_worker_is_a_clear_error(
    joined: str, shards: Path, quantizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    import tests.ingest.deadly as deadly

    monkeypatch.setattr(pool, "_ATTEMPTS", 2)
    monkeypatch.setattr(pool, "_RETRIES", 1)
    ray.cloudpickle.register_pickle_by_value(deadly)
    units = row_units(find_shards(str(shards)), 200)
    task = deadly.Deadly(quantizer=quantizer.to_bytes())
    done: list[int] = []
    with pytest.raises(ClusterError, match="workers keep dying at unit"):
        done.extend(each.number for each in do_units(units, task, ray=joined))
    assert done == list(range(len(done)))
    assert len(done) <= 5


def test_bad_rows_come_back_as_an_error_not_as_a_retry(
    joined: str, shards: Path, quantizer: Any
) -> None:
    bad = rows_of(1)
    bad[3] = np.nan
    np.save(shards / "b.npy", bad)
    units = row_units(find_shards(str(shards)), 500)
    results = list(do_units(units, Task(quantizer=quantizer.to_bytes()), ray=joined))
    assert [result.error is None for result in results] == [True, False, True]
    assert "b.npy, rows 0 to 499" in str(results[1].error)


def test_command_function_and_cluster_give_the_same_collection(
    joined: str, photos: Path, shards: Path, model: bytes, quantizer: Any, h2q: Any, tmp_path: Path
) -> None:
    """Photos, rows and codes: byte for byte in codes, ids and payloads, and in their order."""
    from h2q.ingest import encode_file, ingest

    (tmp_path / "model.safetensors").write_bytes(model)
    quantizer.save(tmp_path / "q.safetensors")
    encode_file(str(shards / "a.npy"), quantizer, tmp_path / "codes.parquet")
    sources: dict[str, tuple[Path, dict[str, Any]]] = {
        "photos": (photos, {"model": tmp_path / "model.safetensors", "device": "cpu"}),
        "rows": (shards, {"quantizer": tmp_path / "q.safetensors"}),
        "codes": (tmp_path / "codes.parquet", {}),
    }
    for name, (source, options) in sources.items():
        uris = [str(tmp_path / f"{name}-{how}.h2q") for how in ("command", "function", "cluster")]
        flags = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        done = h2q("index", source, "--collection", uris[0], *flags)
        assert done.code == 0, done
        here = ingest(source, uris[1], **options)
        there = ingest(source, uris[2], ray=joined, **options)
        assert here.to_dict() == there.to_dict()
        held = []
        for uri in uris:
            with open_collection(uri, mode="r") as collection:
                held.append(contents(collection))
        assert len(held[0]) == {"photos": 60, "rows": 1500, "codes": 500}[name]
        assert held[0] == held[1] == held[2]
