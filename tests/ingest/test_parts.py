"""Folders of parts: every row once, in order; continued where a run ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2q._ray import ClusterError
from h2q.collections import open_collection
from h2q.errors import InvalidInputError
from h2q.ingest import PhotoEncoder, bulk_embed, bulk_encode, bulk_index_rows
from h2q.ingest.embedding import embed_folder
from h2q.rowfiles import find_shards, load_embeddings, read_shard
from tests.ingest.conftest import BITS, rows_of


def read_all(folder: Path) -> tuple[np.ndarray, list[Any]]:
    found = [read_shard(shard, 0, shard.n_rows) for shard in find_shards(str(folder))]
    return np.concatenate([rows.values for rows in found]), [i for rows in found for i in rows.ids]


class StopError(Exception):
    """Stands for whatever ends a run early."""


def stop_after(n: int) -> Any:
    def progress(done: int, total: int) -> None:
        if done >= n:
            raise StopError

    return progress


@pytest.mark.parametrize("form", ["npz", "parquet"])
def test_encoding_shards(shards: Path, quantizer: Any, tmp_path: Path, form: str) -> None:
    out = tmp_path / "codes"
    with pytest.raises(StopError):
        bulk_encode(str(shards), quantizer, str(out), form=form, unit_size=120,
                    on_progress=stop_after(600))  # fmt: skip
    assert not (out / "manifest.json").exists()
    early = {path.name: path.stat().st_mtime_ns for path in out.glob(f"*.{form}")}
    assert len(early) == 6
    report = bulk_encode(str(shards), quantizer, str(out), form=form, unit_size=120)
    assert (report.rows, report.parts, report.kept) == (1500, 15, 6)
    assert {name: (out / name).stat().st_mtime_ns for name in early} == early
    codes, ids = read_all(out)
    rows = np.concatenate([rows_of(seed) for seed in range(3)])
    np.testing.assert_array_equal(codes, quantizer.transform(rows))
    assert ids == [f"{name}:{i}" for name in ("a", "b", "more/c") for i in range(500)]
    assert {path.suffix for path in out.iterdir()} == {".json", f".{form}"}
    assert len(list(out.glob("*.json"))) == 1
    again = bulk_encode(str(shards), quantizer, str(out), form=form, unit_size=120)
    assert (again.kept, again.rows) == (15, 1500)


def test_parts_of_codes_go_into_a_collection(
    h2q: Any, shards: Path, quantizer: Any, tmp_path: Path
) -> None:
    file = tmp_path / "q.safetensors"
    quantizer.save(file)
    done = h2q("encode", shards, "--quantizer", file, "--out", tmp_path / "codes", "--json")
    assert json.loads(done.out)["rows"] == 1500, done
    items = tmp_path / "items.h2q"
    done = h2q("index", tmp_path / "codes", "--collection", items, "--json")
    assert json.loads(done.out)["added"] == 1500, done
    with open_collection(str(items), mode="r") as collection:
        assert collection.get(["more/c:7"])[0].code.tolist() == (
            quantizer.transform(rows_of(2))[7].tolist()
        )
    again = h2q("index", tmp_path / "codes", "--collection", items, "--json")
    assert json.loads(again.out)["unchanged"] == 1500, again


def test_a_folder_of_another_run_is_refused(shards: Path, quantizer: Any, tmp_path: Path) -> None:
    out = str(tmp_path / "codes")
    bulk_encode(str(shards), quantizer, out)
    with pytest.raises(InvalidInputError, match="parts of another run"):
        bulk_encode(str(shards), quantizer, out, form="parquet")
    np.save(shards / "a.npy", rows_of(7))
    with pytest.raises(InvalidInputError, match="parts of another run"):
        bulk_encode(str(shards), quantizer, out)


def test_embedding_photos(photos: Path, model: bytes, tmp_path: Path) -> None:
    from h2q.learning import Hasher

    (photos / "cats" / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "rows"
    with pytest.raises(StopError):
        bulk_embed(str(photos), model, str(out), unit_size=8, batch_size=4,
                   on_progress=stop_after(20))  # fmt: skip
    report = bulk_embed(str(photos), model, str(out), unit_size=8, batch_size=4)
    assert (report.rows, report.parts, report.kept) == (60, 8, 3)
    assert [Path(each.path).name for each in report.skipped] == ["broken.png"]
    rows, ids = read_all(out)
    want, _ = embed_folder(photos, PhotoEncoder(Hasher.from_bytes(model), "cpu"), batch_size=4)
    assert ids == want.ids
    np.testing.assert_allclose(rows, want.rows, atol=1e-5)
    first = load_embeddings(sorted(out.glob("*.npz"))[0])
    assert first.classes == ["cats"]


def test_plain_npy_holds_the_rows_alone(photos: Path, model: bytes, tmp_path: Path) -> None:
    bulk_embed(str(photos), model, str(tmp_path / "rows"), form="npy", unit_size=32)
    rows, _ = read_all(tmp_path / "rows")
    assert rows.shape == (60, BITS)


def test_a_bad_row_is_named_and_the_units_before_it_stay(
    shards: Path, quantizer: Any, tmp_path: Path
) -> None:
    bad = rows_of(1)
    bad[250] = np.inf
    np.save(shards / "b.npy", bad)
    with open_collection(str(tmp_path / "items.h2q"), quantizer=quantizer) as collection:
        args = (str(shards), collection)
        with pytest.raises(InvalidInputError, match=r"b\.npy, rows 200 to 299"):
            bulk_index_rows(*args, journal=tmp_path / "units", unit_size=100)
        assert len(collection) == 700
        np.save(shards / "b.npy", rows_of(1))
        report = bulk_index_rows(*args, journal=tmp_path / "units", unit_size=100)
        # The shard that was repaired is another: all of it is done.
        assert (report.unchanged, report.updated, report.added) == (500, 200, 800)


def test_an_address_without_a_cluster(shards: Path, quantizer: Any, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the cluster needs the extra 'ray'")
    with pytest.raises(ClusterError, match="ray start --head"):
        bulk_encode(str(shards), quantizer, str(tmp_path / "codes"), ray="127.0.0.1:1")
