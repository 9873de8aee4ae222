"""Shards into a collection: once each, whatever ends the run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2q.collections import open_collection
from h2q.errors import CompatibilityError, InvalidInputError
from h2q.ingest import PhotoEncoder, bulk_index_photos, bulk_index_rows, index_folder
from tests.ingest.conftest import rows_of
from tests.ingest.test_parts import StopError, stop_after


def contents(collection: Any) -> list[tuple[Any, bytes, Any]]:
    """Every item in the order of adding, on which the order of ties rests."""
    return [
        (item_id, code.tobytes(), payload)
        for batch in collection.iterate(1000)
        for item_id, code, payload in zip(*batch[:3], strict=True)
    ]


@pytest.fixture
def want(shards: Path, quantizer: Any, tmp_path: Path) -> list[tuple[Any, bytes, Any]]:
    """What a collection of the shards holds, without units."""
    with open_collection(str(tmp_path / "want.h2q"), quantizer=quantizer) as collection:
        for seed, name in enumerate(["a", "b", "more/c"]):
            ids = [f"{name}:{i}" for i in range(500)]
            collection.add(ids, quantizer.transform(rows_of(seed)))
        return contents(collection)


def test_interrupted_and_continued(
    shards: Path, quantizer: Any, tmp_path: Path, want: list[Any]
) -> None:
    journal = tmp_path / "units"
    with open_collection(str(tmp_path / "items.h2q"), quantizer=quantizer) as collection:
        args = (str(shards), collection)
        with pytest.raises(StopError):
            bulk_index_rows(*args, journal=journal, unit_size=70, on_progress=stop_after(700))
        assert len(collection) == 710  # 8 units of shard a, the last of 10, and 3 of b
        with journal.open("ab") as file:
            file.write(b'{"unit": "torn')
        report = bulk_index_rows(*args, journal=journal, unit_size=70)
        assert (report.unchanged, report.updated, report.added) == (710, 0, 790)
        assert contents(collection) == want
        again = bulk_index_rows(*args, journal=journal, unit_size=70)
        assert (again.unchanged, again.added, again.updated) == (1500, 0, 0)
        journal.unlink()  # it only saves work
        lost = bulk_index_rows(*args, journal=journal, unit_size=70)
        assert (lost.unchanged, lost.added, lost.updated) == (0, 0, 1500)
        assert contents(collection) == want


def test_a_journal_that_outlived_its_collection_hides_nothing(
    shards: Path, quantizer: Any, tmp_path: Path
) -> None:
    journal = tmp_path / "units"
    for _ in range(2):
        with open_collection(str(tmp_path / "items.h2q"), quantizer=quantizer) as collection:
            report = bulk_index_rows(str(shards), collection, journal=journal)
        assert report.added == 1500
        for path in tmp_path.glob("items.h2q*"):
            path.unlink()


def test_a_changed_shard_is_done_again_and_a_new_one_added(
    shards: Path, quantizer: Any, tmp_path: Path
) -> None:
    journal = tmp_path / "units"
    with open_collection(str(tmp_path / "items.h2q"), quantizer=quantizer) as collection:
        bulk_index_rows(str(shards), collection, journal=journal)
        before = (shards / "a.npy").stat()
        np.save(shards / "a.npy", rows_of(20))
        np.save(shards / "d.npy", rows_of(21))
        report = bulk_index_rows(str(shards), collection, journal=journal)
        assert (report.unchanged, report.updated, report.added) == (1000, 500, 500)
        # The first version put back, with its time: what is stored is not it.
        np.save(shards / "a.npy", rows_of(0))
        os.utime(shards / "a.npy", ns=(before.st_atime_ns, before.st_mtime_ns))
        report = bulk_index_rows(str(shards), collection, journal=journal)
        assert (report.unchanged, report.updated) == (1500, 500)
        code = collection.get(["a:3"])[0].code
        assert code.tolist() == quantizer.transform(rows_of(0)[3:4])[0].tolist()


def test_prefixes_keep_sources_apart(shards: Path, quantizer: Any, tmp_path: Path) -> None:
    with open_collection(str(tmp_path / "items.h2q"), quantizer=quantizer) as collection:
        for prefix in ("x", "y/"):
            bulk_index_rows(str(shards), collection, journal=tmp_path / "units", prefix=prefix)
        assert len(collection) == 3000
        assert "y/more/c:0" in collection


def test_codes_of_another_length_are_refused(shards: Path, quantizer: Any, tmp_path: Path) -> None:
    with open_collection(str(tmp_path / "items.h2q"), n_bits=24) as collection:
        with pytest.raises(CompatibilityError, match=r"16 bits.*24"):
            bulk_index_rows(
                str(shards), collection, journal=tmp_path / "units", quantizer=quantizer
            )
        with pytest.raises(InvalidInputError, match="--quantizer"):
            bulk_index_rows(str(shards), collection, journal=tmp_path / "units")


def test_a_killed_driver_continues(
    h2q: Any, quantizer: Any, tmp_path: Path, shards: Path, want: list[Any]
) -> None:
    """SIGKILL in the middle of the command; the same command then does the rest."""
    quantizer.save(tmp_path / "q.safetensors")
    items, journal = tmp_path / "items.h2q", tmp_path / "items.h2q.units"
    code = (
        "import h2q.ingest.units as u, h2q.ingest.rows as i, h2q.ingest.anything\n"
        "i.row_units = lambda shards, size: u.row_units(shards, 10)\n"  # 150 small transactions
        "from h2q.cli import main; main()"
    )
    args = ["index", f"{shards}/**/*.npy", "--collection", str(items)]
    args += ["--quantizer", str(tmp_path / "q.safetensors"), "--json"]
    process = subprocess.Popen([sys.executable, "-c", code, *args], stdout=subprocess.DEVNULL)
    while not journal.exists() or len(journal.read_bytes().splitlines()) < 20:
        assert process.poll() is None, "the command ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with open_collection(str(items), mode="r") as collection:
        assert 0 < len(collection) < 1500
    done = h2q(*args)
    assert done.code == 0, done
    with open_collection(str(items), mode="r") as collection:
        assert sorted(contents(collection)) == sorted(want)


def test_photos_are_those_of_index_folder(photos: Path, model: bytes, tmp_path: Path) -> None:
    from h2q.learning import Hasher

    (photos / "dogs" / "broken.png").write_bytes(b"no picture")
    made_with: dict[str, Any] = {"n_bits": 16, "model": model, "keep": "float16"}
    with (
        open_collection(str(tmp_path / "here.h2q"), **made_with) as here,
        open_collection(str(tmp_path / "bulk.h2q"), **made_with) as bulk,
    ):
        encoder = PhotoEncoder(Hasher.from_bytes(model), "cpu")
        index_folder(photos, here, encoder, batch_size=8)
        options: dict[str, Any] = {"unit_size": 8, "batch_size": 8, "device": "cpu"}
        with pytest.raises(StopError):
            bulk_index_photos(str(photos), bulk, model, **options, on_progress=stop_after(30))
        assert len(bulk) == 32
        report = bulk_index_photos(str(photos), bulk, model, **options)
        assert (report.unchanged, report.added, len(report.skipped)) == (32, 28, 1)
        assert sorted(contents(bulk)) == sorted(contents(here))
        queries = np.random.default_rng(0).standard_normal((9, 16))
        found, expected = (each.search(queries, 5, rank="cosine") for each in (bulk, here))
        assert found.ids == expected.ids
        # Either way of indexing knows what the other has done.
        assert index_folder(photos, bulk, encoder).unchanged == 60
        assert bulk_index_photos(str(photos), here, model, **options).unchanged == 60
        shutil.copytree(photos, tmp_path / "other")
        with pytest.raises(InvalidInputError, match="--prefix"):
            bulk_index_photos(str(tmp_path / "other"), here, model, **options)
        shutil.rmtree(photos)  # now the folder has merely moved
        moved = bulk_index_photos(str(tmp_path / "other"), here, model, **options)
        assert (moved.renewed, moved.updated, moved.added) == (60, 0, 0)


@pytest.mark.parametrize("keep", ["scale", "int8", "float16"])
@pytest.mark.parametrize("has_quantizer", [True, False])
def test_what_is_kept_beside_the_codes(
    shards: Path, quantizer: Any, tmp_path: Path, keep: Any, has_quantizer: bool
) -> None:
    made_with = {"quantizer": quantizer} if has_quantizer else {"n_bits": 16}
    queries = rows_of(30, 20)
    if not has_quantizer:
        queries = quantizer.rotate(queries)
    rank: Any = "calibrated" if keep == "scale" else "cosine"
    with (
        open_collection(str(tmp_path / "want.h2q"), keep=keep, **made_with) as want,
        open_collection(str(tmp_path / "bulk.h2q"), keep=keep, **made_with) as bulk,
    ):
        for seed, name in enumerate(["a", "b", "more/c"]):
            rows = rows_of(seed)
            kept = rows if has_quantizer else quantizer.rotate(rows)
            ids = [f"{name}:{i}" for i in range(500)]
            want.add(ids, quantizer.transform(rows), embeddings=kept)
        bulk_index_rows(
            str(shards), bulk, journal=tmp_path / "units", quantizer=quantizer, unit_size=70
        )
        found, expected = bulk.search(queries, 10, rank=rank), want.search(queries, 10, rank=rank)
        assert found.ids == expected.ids
        assert found.scores is not None
        assert expected.scores is not None
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
