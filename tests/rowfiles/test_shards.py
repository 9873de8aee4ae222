"""Ranges of rows read from files of every kind are the rows numpy reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from h2q.codes import pack, save_codes
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles import Embeddings, find_shards, read_shard, save_embeddings
from h2q.rowfiles.shards import read_split
from tests.ingest.conftest import rows_of

RANGES = [(0, 500), (0, 1), (499, 500), (123, 321)]


def write(path: Path, rows: np.ndarray) -> None:
    n, d = rows.shape
    ids = [f"item {i}" for i in range(n)]
    kind = path.name.split(".")[0]
    if kind == "columns":
        np.save(path, np.asfortranarray(rows))
    elif kind == "rows":
        np.save(path, rows)
    elif kind == "stored":
        save_embeddings(path, Embeddings(rows, ids, np.arange(n) % 3, ["x", "y", "z"]))
    elif kind == "compressed":
        np.savez_compressed(path, ids=np.array(ids), labels=np.arange(n) % 3, features=rows,
                            classes=np.array(["x", "y", "z"]))  # fmt: skip
    else:
        flat = pa.array(rows.ravel())
        lists = (
            pa.FixedSizeListArray.from_arrays(flat, d)
            if kind == "fixed"
            else pa.ListArray.from_arrays(np.arange(0, n * d + 1, d, dtype=np.int32), flat)
        )
        labels = [("x", "y", "z")[i % 3] for i in range(n)]
        table = pa.table({"id": ids, "noise": list(range(n)), "embedding": lists, "label": labels})
        pyarrow.parquet.write_table(table, path, row_group_size=90)


@pytest.mark.parametrize("url", [False, True])
@pytest.mark.parametrize(
    "name",
    ["rows.npy", "columns.npy", "stored.npz", "compressed.npz", "fixed.parquet", "lists.parquet"],
)
def test_ranges(tmp_path: Path, name: str, url: bool) -> None:
    rows = rows_of(1)
    write(tmp_path / name, rows)
    (shard,) = find_shards(f"file://{tmp_path / name}" if url else str(tmp_path / name))
    assert (shard.n_rows, shard.width, shard.kind) == (500, 24, "embeddings")
    for start, stop in RANGES:
        got = read_shard(shard, start, stop)
        assert got.values.dtype == np.float32
        np.testing.assert_array_equal(got.values, rows[start:stop])
        if name.endswith(".npy"):
            assert got.ids == [str(i) for i in range(start, stop)]
        else:
            assert got.ids == [f"item {i}" for i in range(start, stop)]
            assert got.payload(0) == {"label": "xyz"[start % 3]}


def test_only_the_range_is_read_from_an_uncompressed_file(tmp_path: Path) -> None:
    rows = rows_of(2, 4000)
    for name in ("a.npy", "b.npz"):
        path = tmp_path / name
        np.save(path, rows) if name == "a.npy" else np.savez(path, features=rows)
        (shard,) = find_shards(str(path))
        last = read_shard(shard, 3000, 3010).values
        with path.open("r+b") as file:  # what lies before is never looked at
            file.seek(1000)
            file.write(b"\xff" * 200_000)
        np.testing.assert_array_equal(read_shard(shard, 3000, 3010).values, last)


def test_files_of_codes(tmp_path: Path) -> None:
    codes = pack(rows_of(3))
    save_codes(tmp_path / "codes.npz", codes, 24, ids=list(range(500)))
    (shard,) = find_shards(str(tmp_path / "codes.npz"))
    assert (shard.kind, shard.n_bits) == ("codes", 24)
    got = read_shard(shard, 100, 200)
    np.testing.assert_array_equal(got.values, codes[100:200])
    assert got.ids == list(range(100, 200))


def test_names_tell_the_shards_apart(shards: Path) -> None:
    found = find_shards(str(shards))
    assert [shard.id_base for shard in found] == ["a", "b", "more/c"]
    assert read_shard(found[2], 7, 9).ids == ["more/c:7", "more/c:8"]
    assert len(find_shards(f"{shards}/*.npy")) == 2
    assert len(find_shards(f"{shards}/**/*.npy")) == 3
    assert [s.id_base for s in find_shards(f"file://{shards}")] == ["a", "b", "more/c"]


def test_rows_of_a_split(tmp_path: Path) -> None:
    rows = rows_of(4)
    split = np.where(np.arange(500) % 5 == 0, "query", "train")
    save_embeddings(tmp_path / "a.npz", Embeddings(rows, [str(i) for i in range(500)], split=split))
    (shard,) = find_shards(str(tmp_path / "a.npz"))
    got = read_split(shard, 0, 100, "query")
    np.testing.assert_array_equal(got.values, rows[:100:5])
    assert got.ids == [str(i) for i in range(0, 100, 5)]


def test_what_cannot_be_used_is_named(tmp_path: Path, shards: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"nothing-here.*no such files"):
        find_shards(str(tmp_path / "nothing-here"))
    (tmp_path / "photos").mkdir()
    with pytest.raises(InvalidInputError, match=r"photos: a folder with no file of .*\.npy"):
        find_shards(str(tmp_path / "photos"))
    np.save(shards / "wide.npy", np.zeros((3, 25), np.float32))
    with pytest.raises(InvalidInputError, match=r"wide.npy holds rows of 25, but .*a.npy rows of"):
        find_shards(str(shards))
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="pickled"):
        find_shards(str(tmp_path / "objects.npy"))
    (tmp_path / "short.npy").write_bytes((shards / "a.npy").read_bytes()[:-100])
    with pytest.raises(FormatError, match="truncated"):
        find_shards(str(tmp_path / "short.npy"))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(FormatError, match=r"bad.parquet: .*not a Parquet"):
        find_shards(str(tmp_path / "bad.parquet"))
    np.savez(tmp_path / "two.npz", a=rows_of(1), b=rows_of(2))
    with pytest.raises(InvalidInputError, match=r"--key.*a, b"):
        find_shards(str(tmp_path / "two.npz"))
    assert find_shards(str(tmp_path / "two.npz"), key="b")[0].key == "b"
