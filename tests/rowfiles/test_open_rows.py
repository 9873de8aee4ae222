"""Every format through one door: ranges, what is said of a file, and what is refused."""

from __future__ import annotations

import datetime
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from h2q.codes import pack, unpack
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles import FORMATS, open_rows, read_codes, write_codes
from h2q.rowfiles.bigann import save_rows
from tests.rowfiles.samples import same, sample

ROWS = np.random.default_rng(0).standard_normal((60, 16)).astype(np.float32)
CODES = pack(ROWS)


def real_file(path: Path) -> Path:
    """Write `ROWS` as another program would."""
    kind = path.suffix
    if kind == ".npy":
        np.save(path, ROWS)
    elif kind == ".npz":
        np.savez(path, vectors=ROWS)
    elif kind == ".fbin":
        save_rows(path, ROWS)
    elif kind == ".hdf5":
        with h5py.File(path, "w") as file:
            file["train"] = ROWS
    else:
        lists = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 16)
        table = pa.table({"vector": lists})
        if kind == ".parquet":
            pq.write_table(table, path, row_group_size=7)
        else:
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table, max_chunksize=7)
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".fbin", ".hdf5", ".parquet", ".arrow"])
@pytest.mark.parametrize("store", [False, True])
def test_ranges_of_embeddings(suffix: str, store: bool, tmp_path: Path) -> None:
    url = str(real_file(tmp_path / f"rows{suffix}"))
    if store:
        url = in_a_store(tmp_path)[0]
    file = open_rows(url)
    assert (file.kind, file.count, file.width, file.dtype) == ("embeddings", 60, 16, "float32") or (
        file.dtype == "float"  # Arrow's word
    )
    for start, stop in [(0, 60), (0, 1), (59, 60), (13, 29), (50, 100)]:
        rows = file.read(start, stop)
        np.testing.assert_array_equal(rows.values, ROWS[start:stop])
        assert rows.ids == [str(i) for i in range(start, min(stop, 60))]


def in_a_store(folder: Path) -> list[str]:
    """Put the files of a folder into fsspec's store in memory."""
    base = f"memory://{uuid.uuid4().hex}"
    for path in sorted(folder.iterdir()):
        fsspec.filesystem("memory").pipe_file(f"{base}/{path.name}", path.read_bytes())
    names = sorted(path.name for path in folder.iterdir())
    return [f"{base}/{name}" for name in names]


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("faiss-lsh", "npz")])
def test_codes_in_a_store_with_what_lies_beside_them(name: str, tmp_path: Path) -> None:
    given = sample(36, 50, "int" if name == "ann-benchmarks" else "mixed")
    write_codes(given, tmp_path / f"codes{FORMATS[name].suffixes[0]}")
    url = next(url for url in in_a_store(tmp_path) if not url.endswith((".json", ".jsonl")))
    found = read_codes(url)
    assert found.n_bits == 36
    if name != "ann-benchmarks":
        same(found.gather(), given.gather())


@pytest.mark.parametrize("name", list(FORMATS))
def test_an_export_is_known_for_codes(name: str, tmp_path: Path) -> None:
    """What `h2q index` and `h2q info` go by, without being told."""
    options: dict[str, Any] = {}
    if name == "faiss-lsh":
        from h2q import SignQuantizer

        options["quantizer"] = SignQuantizer().fit(np.random.default_rng(0).normal(size=(90, 24)))
    path = tmp_path / f"codes{FORMATS[name].suffixes[0]}"
    write_codes(sample(24, 100, "int"), path, **options)
    file = open_rows(path)
    assert (file.kind, file.n_bits, file.width) == ("codes", 24, 3)
    with pytest.raises(FormatError, match=r"bit order|order of bits"):
        open_rows(path, bit_order="msb" if name == "faiss-lsh" else "lsb")
    with pytest.raises(InvalidInputError, match=r"--key|embeddings are needed|no column"):
        open_rows(path, key="features", kind="codes" if name not in ("parquet", "arrow") else None)


@pytest.mark.parametrize("suffix", [".npy", ".fbin", ".hdf5"])
def test_options_that_mean_nothing_are_refused(suffix: str, tmp_path: Path) -> None:
    path = real_file(tmp_path / f"rows{suffix}")
    with pytest.raises(InvalidInputError, match="--key"):
        open_rows(path, key="features")
    with pytest.raises(InvalidInputError, match="have no bits"):
        open_rows(path, bit_order="lsb", kind="embeddings")


def test_signs_or_rows_of_an_fbin(tmp_path: Path) -> None:
    path = real_file(tmp_path / "rows.fbin")
    assert open_rows(path).kind == "embeddings"
    assert open_rows(path, n_bits=16).kind == "codes"
    signs = read_codes(path).gather()
    np.testing.assert_array_equal(signs.codes, CODES)
    with pytest.raises(FormatError, match="16 columns, not 8"):
        open_rows(path, n_bits=8)
    with pytest.raises(InvalidInputError, match="too large for float32"):
        save_rows(path, np.full((2, 3), 1e300))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64])
@pytest.mark.parametrize("signs", [False, True])
def test_bits_and_signs_in_hdf5(dtype: Any, signs: bool, tmp_path: Path) -> None:
    if signs and dtype in (bool, np.uint8):
        pytest.skip("has no -1")
    bits = unpack(CODES, 16).astype(dtype)
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file["train"] = 2 * bits - 1 if signs else bits
    np.testing.assert_array_equal(read_codes(tmp_path / "t.hdf5").gather().codes, CODES)


@pytest.mark.parametrize("values", [CODES, CODES.astype(np.int8), np.array([[0, 2], [1, 0]])])
def test_what_is_no_matrix_of_bits_is_refused(values: Any, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file["train"] = values
    with pytest.raises(FormatError, match=r"numpy\.unpackbits"):
        read_codes(tmp_path / "t.hdf5")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_with_and_without_a_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text("id,code\ncat.jpg,01010101\ndog.jpg,11110000\n", encoding=encoding)
    found = read_codes(path).gather()
    assert found.ids == ["cat.jpg", "dog.jpg"]
    assert found.codes.ravel().tolist() == [0b01010101, 0b11110000]


def test_tables_of_before_are_read(tmp_path: Path) -> None:
    """Parts written when there were two schemas."""
    code = pa.array([row.tobytes() for row in CODES], pa.binary(2))
    facts = {"h2q": "1", "n_bits": "16", "bit_order": "msb"}
    table = pa.table({"id": [f"i{k}" for k in range(60)], "code": code})
    pq.write_table(table.replace_schema_metadata(facts), tmp_path / "codes.parquet")
    file = open_rows(tmp_path / "codes.parquet")
    assert (file.kind, file.n_bits) == ("codes", 16)
    np.testing.assert_array_equal(file.read(7, 20).values, CODES[7:20])
    with pytest.raises(FormatError, match="16 bits, not 12"):
        open_rows(tmp_path / "codes.parquet", n_bits=12)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(ROWS.ravel()), 16)
    table = pa.table({"id": list(range(60)), "embedding": lists, "label": ["a", "b", None] * 20})
    pq.write_table(table.replace_schema_metadata({"h2q": "1"}), tmp_path / "rows.parquet")
    rows = open_rows(tmp_path / "rows.parquet").read(1, 3)
    np.testing.assert_array_equal(rows.values, ROWS[1:3])
    assert (rows.ids, rows.all_payloads()) == ([1, 2], [{"label": "b"}, None])


@pytest.mark.parametrize(
    ("column", "want"),
    [
        (pa.array([datetime.datetime(2024, 5, 1), None]), ["2024-05-01T00:00:00", None]),
        (pa.array([datetime.date(2024, 5, 1)] * 2), ["2024-05-01"] * 2),
        (pa.array([1.5, float("nan")]), [1.5, None]),
        (pa.array([["x"], []]), [["x"], []]),
        (pa.array([{"a": 1}, {"a": None}]), [{"a": 1}, {"a": None}]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
    ],
)
def test_columns_of_a_foreign_table_of_codes(column: Any, want: list[Any], tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "code": pa.array([b"\1", b"\2"]), "taken": column})
    pq.write_table(table, tmp_path / "t.parquet")
    found = read_codes(tmp_path / "t.parquet", n_bits=8).gather()
    assert [(payload or {}).get("taken") for payload in found.payloads] == want


@pytest.mark.parametrize(
    "column", [pa.array([b"x", b"y"]), pa.array([Decimal("0.1")] * 2), pa.array([float("inf")] * 2)]
)
def test_a_column_that_no_payload_can_hold_is_named(column: Any, tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "code": pa.array([b"\1", b"\2"]), "taken": column})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match=r"row 0: the column 'taken'"):
        read_codes(tmp_path / "t.parquet", n_bits=8).gather()


@pytest.mark.parametrize(
    "column",
    [
        pa.array([2**62 + 5, 12345]),
        pa.array([1.0, 2.0]),
        pa.array(["0101", "1111"]),
        pa.array([[0.5], [1.0]]),
    ],
)
def test_a_column_of_codes_that_holds_no_bytes(column: Any, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a", "b"], "code": column}), tmp_path / "t.parquet")
    with pytest.raises(FormatError, match="the column 'code' holds"):
        read_codes(tmp_path / "t.parquet", n_bits=64)


def test_gaps_in_a_table_are_named(tmp_path: Path) -> None:
    codes = pa.array([b"\1", None])
    pq.write_table(pa.table({"id": ["a", "b"], "code": codes}), tmp_path / "t.parquet")
    with pytest.raises(FormatError, match="row 1 has no code"):
        read_codes(tmp_path / "t.parquet", n_bits=8).gather()
    lists = pa.array([[1.0, 2.0], None])
    pq.write_table(pa.table({"id": ["a", "b"], "vector": lists}), tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match=r"rows of vector are empty"):
        open_rows(tmp_path / "t.parquet").read(0, 2)
    pq.write_table(pa.table({"id": ["a", None], "vector": [[1.0], [2.0]]}), tmp_path / "t.parquet")
    with pytest.raises(InvalidInputError, match="row 1 has no id"):
        open_rows(tmp_path / "t.parquet").read(1, 2)


@pytest.mark.parametrize(
    "suffix",
    [
        ".faiss",
        ".hdf5",
        *[
            pytest.param(s, marks=pytest.mark.slow)
            for s in (".npy", ".parquet", ".usearch", ".csv")
        ],
    ],
)
def test_a_full_disk_is_no_bug(suffix: str, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    import signal

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    code = (
        "import sys\nfrom h2q.rowfiles import write_codes\nfrom h2q.errors import H2QError\n"
        "from tests.rowfiles.samples import sample\n"
        "try: write_codes(sample(64, 20000, 'int', payloads=False), sys.argv[1])\n"
        "except (H2QError, OSError) as error: sys.exit(f'told: {error}')"
    )
    path = tmp_path / f"codes{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=small,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("told: ")
    assert not list(tmp_path.iterdir())
