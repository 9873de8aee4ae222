# ruff: noqa: S608 (the SQL is ours, and hostile on purpose)
"""Files made to cost more than they say, to run something, or to end the process."""

from __future__ import annotations

import io
import json
import pickle
import sqlite3
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import h2q
from h2q.codes import pack
from h2q.datasets.labels import encode_name_sets
from h2q.errors import FormatError, InvalidInputError
from tests.fuzz.guarded import Guard

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"


def refused(guard: Guard, reader: str, path: Path, reason: str, *beside: Path) -> None:
    verdict = guard.read_file(reader, path, beside=beside)
    assert verdict.kind == "refused", verdict
    assert reason in verdict.detail


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


# safetensors


def safetensors(metadata: dict[str, str], arrays: dict[str, Any] | None = None) -> bytes:
    from safetensors.numpy import save

    return save(arrays or {"a": np.zeros(2, np.float32)}, metadata)


def model_header(**changes: Any) -> dict[str, str]:
    backbone = {"name": "x", "family": "features", "architecture": "features",
                "arguments": {"n_features": 8}}  # fmt: skip
    header = {"backbone": backbone, "n_bits": 8, "facts": {}, "preprocessing": None} | changes
    about = {"format": "h2q", "format_version": "1", "kind": "hasher"}
    return about | {"hasher": json.dumps(header)}


@pytest.mark.parametrize("length", [2**63, 2**40, 10**6])
@pytest.mark.parametrize("reader", ["quantizer", "decoder", "model"])
def test_a_header_that_claims_more_than_the_file(guard, tmp_path, reader, length) -> None:
    path = write(tmp_path / "a.safetensors", length.to_bytes(8, "little") + b"{" * 500)
    refused(guard, reader, path, "a.safetensors")


def test_a_model_of_a_hundred_billion_bits(guard, tmp_path) -> None:
    path = write(tmp_path / "m.safetensors", safetensors(model_header(n_bits=10**11)))
    refused(guard, "model", path, "than a file of")


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [
        ("vit_giant_patch14_clip_224", {}),
        ("resnet50", {"checkpoint_path": "/etc/passwd"}),
        ("resnet50", {"pretrained": True}),
        ("hf-hub:someone/something", {}),
        ("local-dir:/tmp", {}),
        ("vit_tiny_patch16_224", {"depth": 10**9}),
        ("vit_tiny_patch16_224", {"embed_dim": 10**9}),
    ],
)
def test_a_model_that_names_a_network_it_does_not_hold(
    guard, tmp_path, architecture, arguments
) -> None:
    backbone = {"name": "x", "family": "timm", "architecture": architecture,
                "arguments": arguments}  # fmt: skip
    data = safetensors(model_header(backbone=backbone))
    refused(guard, "model", write(tmp_path / "m.safetensors", data), "m.safetensors")


# Arrays


def npy(descr: str, shape: str, order: str = "False", data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


NPY = {
    "terabytes": npy("'<f4'", "(10000000000, 1000)"),
    "rows of nothing": npy("'<f4'", "(100000000000, 0)"),
    "none of many columns": npy("'<f4'", "(0, 100000000000)"),
    "items of no bytes": npy("'|V0'", "(100000000000, 8)"),
    "texts of no letters": npy("'<U0'", "(100000000000,)"),
    "more than 64 bits": npy("'<f4'", "(99999999999999999999, 8)"),
    "negative": npy("'<f4'", "(-1, -8)", data=b"\0" * 32),
    "objects": npy("'|O'", "(8,)", data=pickle.dumps([1])),
    "code": npy("'<f4'", "__import__('os').system('true')"),
    "deep": npy("'<f4'", "(" * 3000 + "1" + ")" * 3000),
    "fields of objects": npy("[('a', '|O')]", "(8,)"),
}


@pytest.mark.parametrize("kind", NPY)
@pytest.mark.parametrize("reader", ["embeddings-npy", "codes-npy", "shard-npy"])
def test_npy_headers(guard, tmp_path, reader, kind) -> None:
    refused(guard, reader, write(tmp_path / "a.npy", NPY[kind]), "a.npy")


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return out.getvalue()


def array(value: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, value, allow_pickle=False)
    return out.getvalue()


NPZ_READERS = ["codes-npz", "embeddings-npz", "dataset-npz", "shard-npz"]


@pytest.mark.parametrize("kind", NPY)
@pytest.mark.parametrize("reader", NPZ_READERS)
def test_npy_headers_in_an_archive(guard, tmp_path, reader, kind) -> None:
    good = {"labels": array(np.arange(8) % 2), "format": array(np.array("h2q-codes"))}
    good |= {"n_bits": array(np.array(8)), "bit_order": array(np.array("msb"))}
    good |= {"format_version": array(np.array(1))}
    members = {**good, "features": NPY[kind], "codes": NPY[kind]}
    refused(guard, reader, write(tmp_path / "a.npz", archive(members)), "a.npz")


@pytest.mark.parametrize("reader", NPZ_READERS)
def test_a_zip_bomb(guard, tmp_path, reader) -> None:
    for method, size in ((zipfile.ZIP_DEFLATED, 120 << 20), (zipfile.ZIP_BZIP2, 16 << 20)):
        zeros = npy("'<f4'", f"({size >> 5}, 8)", data=b"\0" * size)
        members = {"features": zeros, "codes": zeros, "labels": array(np.zeros(8, int))}
        path = write(tmp_path / "a.npz", archive(members, method))
        assert path.stat().st_size < 1 << 21
        refused(guard, reader, path, "a.npz")


@pytest.mark.parametrize("reader", NPZ_READERS)
def test_members_that_share_their_bytes(guard, tmp_path, reader) -> None:
    """Every entry of the directory leads to the same packed megabytes."""
    zeros = npy("'<f4'", "(2000000, 2)", data=b"\0" * (16 << 20))
    data = bytearray(archive({"features": zeros}))
    end = data.rfind(b"PK\x05\x06")
    start = int.from_bytes(data[end + 16 : end + 20], "little")
    entry = bytes(data[start:end])
    entries = entry * 500
    tail = bytearray(data[end:])
    tail[8:12] = (500).to_bytes(2, "little") * 2
    tail[12:16] = len(entries).to_bytes(4, "little")
    path = write(tmp_path / "a.npz", bytes(data[:start]) + entries + bytes(tail))
    refused(guard, reader, path, "a.npz")


@pytest.mark.parametrize("labels", [10**11, 2**62, 2**31])
@pytest.mark.parametrize("reader", ["dataset-npz", "embeddings-npz", "eval-cli"])
def test_labels_of_a_hundred_billion(guard, tmp_path, reader, labels) -> None:
    arrays = {"features": np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)}
    arrays["labels"] = np.r_[np.arange(39) % 3, labels]
    np.savez(tmp_path / "a.npz", **arrays)
    verdict = guard.read_file(reader, tmp_path / "a.npz")
    assert verdict.kind == "refused" or reader == "embeddings-npz", verdict


def test_a_hundred_billion_classes(guard, tmp_path) -> None:
    rows, packed = np.ones((8, 2), np.float32), np.zeros((8, 1), np.uint8)
    np.savez(tmp_path / "a.npz", features=rows, labels=packed, n_classes=np.array(10**11))
    refused(guard, "dataset-npz", tmp_path / "a.npz", "number the classes from 0")


def test_labels_that_never_repeat() -> None:
    """A table of images by labels would have ten billion cells."""
    with pytest.raises(InvalidInputError, match="hardly repeat"):
        encode_name_sets([[f"a{i}", f"b{i}"] for i in range(100_000)])


# Tables


def parquet(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, **options)
    return path


def test_a_parquet_file_of_a_hundred_million_rows(guard, tmp_path) -> None:
    import pyarrow as pa

    codes = pa.array([b"\0" * 3] * 25_000_000, pa.binary(3))
    path = parquet(tmp_path / "a.parquet", {"code": codes}, compression="zstd")
    assert path.stat().st_size < 1 << 20
    refused(guard, "codes-parquet", path, "would unpack to")


def test_a_dictionary_of_one_long_text(guard, tmp_path) -> None:
    """Twenty thousand rows of the same megabyte."""
    import pyarrow as pa

    n = 20_000
    ids = pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), ["x" * (1 << 20)])
    codes = pa.array([bytes([i % 256, i // 256, 0]) for i in range(n)], pa.binary(3))
    path = parquet(tmp_path / "a.parquet", {"id": ids, "code": codes})
    assert guard.read_file("codes-parquet", path).good
    arrow = tmp_path / "a.arrow"
    with (
        pa.OSFile(str(arrow), "wb") as out,
        pa.ipc.new_file(out, pa.table([ids, codes], ["id", "code"]).schema) as writer,
    ):
        writer.write_table(pa.table([ids, codes], ["id", "code"]))
    assert guard.read_file("codes-arrow", arrow).good


ODD = {
    "nulls in lists": lambda pa, n: pa.ListArray.from_arrays(
        pa.array([0] + [10**9] * n, pa.int32()), pa.nulls(10**9)
    ),
    "fixed lists of nulls": lambda pa, n: pa.FixedSizeListArray.from_arrays(
        pa.nulls(n * 10**6), 10**6
    ),
    "run ends": lambda pa, n: pa.RunEndEncodedArray.from_arrays([n], ["x" * 10**6]),
    "a union": lambda pa, n: pa.UnionArray.from_sparse(
        pa.array([0] * n, pa.int8()), [pa.array(range(n))]
    ),
    "views": lambda pa, n: pa.array(["x" * 1000] * n, pa.string_view()),
    "dictionaries in lists": lambda pa, n: pa.array([["a"]] * n).cast(
        pa.list_(pa.dictionary(pa.int32(), pa.string()))
    ),
    "empty structs": lambda pa, n: pa.array([{}] * n, pa.struct([])),
    "bytes of no width": lambda pa, n: pa.array([b""] * n, pa.binary(0)),
}


@pytest.mark.parametrize("kind", ODD)
def test_columns_that_stand_for_more_than_they_hold(guard, tmp_path, kind) -> None:
    import pyarrow as pa

    n = 200
    codes = pa.array([bytes([i, 0, 0]) for i in range(n)], pa.binary(3))
    table = pa.table({"code": codes, "odd": ODD[kind](pa, n)})
    path = tmp_path / "a.arrow"
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    refused(guard, "codes-arrow", path, "is not read; cast it")


def test_lists_of_nothing_as_embeddings(guard, tmp_path) -> None:
    import pyarrow as pa

    lists = pa.FixedSizeListArray.from_arrays(pa.array([], pa.float32()), 10**9)
    path = parquet(tmp_path / "a.parquet", {"embedding": lists})
    assert guard.read_file("shard-parquet", path).good
    path = parquet(
        tmp_path / "b.parquet", {"embedding": pa.array([[None] * 3], pa.list_(pa.null()))}
    )
    refused(guard, "shard-parquet", path, "b.parquet")


# HDF5


HDF5: dict[str, Callable[[Any, Any, Path], Any]] = {
    "another file": lambda f, h5py, p: f.__setitem__("train", h5py.ExternalLink("/etc/x", "/a")),
    "a link": lambda f, h5py, p: f.__setitem__("train", h5py.SoftLink("/other")),
    "a virtual data set": lambda f, h5py, p: _virtual(f, h5py),
    "raw data elsewhere": lambda f, h5py, p: f.create_dataset(
        "train", (100, 20), "u1", external=[("/etc/passwd", 0, 2000)]
    ),
    "never written": lambda f, h5py, p: f.create_dataset(
        "train", (10**10, 20), "u1", chunks=(1000, 20), fillvalue=1
    ),
    "a huge chunk": lambda f, h5py, p: f.create_dataset(
        "train", (10**5, 20_000), "u1", chunks=(10**5, 20_000), compression="gzip"
    ),
    "many columns": lambda f, h5py, p: f.create_dataset(
        "train", (1, 10**10), "u1", chunks=(1, 1000)
    ),
    "zeros": lambda f, h5py, p: f.create_dataset(
        "train", data=np.zeros((4_000_000, 20), np.uint8), compression="gzip"
    ),
    "a group": lambda f, h5py, p: f.create_group("train"),
}


def _virtual(file: Any, h5py: Any) -> None:
    layout = h5py.VirtualLayout((100, 20), "u1")
    layout[:] = h5py.VirtualSource("/etc/x.h5", "a", (100, 20))
    file.create_virtual_dataset("train", layout)


@pytest.mark.parametrize("kind", HDF5)
def test_hdf5_layouts(guard, tmp_path, kind) -> None:
    import h5py

    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("other", data=np.zeros((100, 20), np.uint8))
        HDF5[kind](file, h5py, tmp_path)
    refused(guard, "codes-hdf5", path, "a.hdf5")


def test_ids_that_are_the_same_megabyte(guard, tmp_path) -> None:
    import h5py

    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        file.attrs["h2q_id_kind"] = "str"
        file.create_dataset("train", data=np.eye(2000, 20, dtype=np.uint8), compression="gzip")
        text = h5py.string_dtype("utf-8")
        ids = file.create_dataset("h2q_ids", (2000,), text, chunks=(2000,))
        ids[:] = ["x" * (1 << 17)] * 2000
    assert guard.read_file("codes-hdf5", path).kind != "died"


# Indexes of other libraries


@pytest.mark.parametrize("name", ["a.faiss", "a.lsh.faiss", "a.usearch"])
@pytest.mark.parametrize(
    "data",
    [
        b"", b"IBxF" + b"\xff" * 60, b"IBMp" * 30, b"IxHE" + b"\x01" * 400,
        b"usearch" + b"\xff" * 500,
        b"IBwF" + (64).to_bytes(4, "little") + (8).to_bytes(4, "little") + b"\0" * 8
        + (2**38).to_bytes(8, "little") * 4,
    ],
)  # fmt: skip
def test_indexes(guard, tmp_path, name, data) -> None:
    reader = "codes-usearch" if name.endswith("usearch") else "codes-faiss-kinds"
    refused(guard, reader, write(tmp_path / name, data), name)


def test_a_library_that_ends_the_process(tmp_path, monkeypatch) -> None:
    """The other process dies by a signal; this one says so."""
    from h2q.rowfiles.index_process import read_index

    dying = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"
    (tmp_path / "sitecustomize.py").write_text(dying)
    monkeypatch.syspath_prepend(tmp_path)
    path = write(tmp_path / "a.faiss", b"x")
    with pytest.raises(FormatError, match=r"a\.faiss.*ended the process \(SIGSEGV\)"):
        read_index(path, "faiss_binary", "a faiss index")


# Text


def test_yaml_aliases(guard, tmp_path) -> None:
    lines = ["loss_options: {a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f" , a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    path = write(tmp_path / "c.yaml", ("\n".join(lines) + "}").encode())
    refused(guard, "config", path, "aliases")


@pytest.mark.parametrize(
    "text",
    [
        "a: " * 2000, "[" * 20_000, "n_bits: " + "9" * 100_000, "x" * (1 << 20), "? " * 5000,
        "loss: !!python/object/apply:os.system ['true']", "- " * 5000, "n_bits: 0x" + "f" * 90_000,
        "{" * 3000, "loss_options: {1: 2}", "? {a: b}\n: c", "<<: {n_bits: 4}\nloss: [",
    ],
)  # fmt: skip
def test_yaml(guard, tmp_path, text) -> None:
    refused(guard, "config", write(tmp_path / "c.yaml", text.encode()), "c.yaml")


# Archives and pickles of data sets


def tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return out.getvalue()


def nested(depth: int) -> bytes:
    """A dict whose one key is a tuple of twice the same tuple, of twice the same, ..."""
    steps = b"(t" + b"".join(b"q" + bytes([i]) + b"0h" + bytes([i]) + b"h" + bytes([i]) + b"\x86"
                             for i in range(depth))  # fmt: skip
    return b"\x80\x02}" + steps + b"K\x01s."


PICKLES = {
    "calls": pickle.dumps(print, protocol=2),
    "hashes for ever": nested(60),
    "allocates": b"\x80\x02cnumpy\nndarray\n\x8a\x06\x00\x10\xa5\xd4\xe8\x00\x85R.",
    "objects": pickle.dumps({b"data": np.array([print], object)}, protocol=2),
    "deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
}


@pytest.mark.parametrize("kind", PICKLES)
def test_pickles_of_cifar(guard, tmp_path, kind) -> None:
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    data = tar(dict.fromkeys(names, PICKLES[kind]))
    verdict = guard.read_file("dataset-cifar", write(tmp_path / "c.tar.gz", data))
    assert verdict.kind == "refused", verdict


def test_a_tar_that_unpacks_to_far_more(guard, tmp_path) -> None:
    data = tar({"other": b"\0" * (100 << 20)})
    path = write(tmp_path / "c.tar.gz", data)
    assert path.stat().st_size < 1 << 20
    refused(guard, "dataset-cifar", path, "unpacks to far more")


# Images


def png(width: int, height: int, *chunks: tuple[bytes, bytes], mode: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, mode, 0, 0, 0)
    rows = zlib.compress(b"\0" * (width + 1) * min(height, 4000)) if width < 20_000 else b""
    out = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), *chunks, (b"IDAT", rows), (b"IEND", b"")):
        out += struct.pack(">I", len(body)) + kind + body
        out += struct.pack(">I", zlib.crc32(kind + body))
    return out


BOMB = zlib.compress(b"a" * (200 << 20))


@pytest.mark.parametrize(
    "data",
    [
        png(2**31 - 1, 2**31 - 1),
        png(60_000, 60_000),
        png(9, 9, *[(b"zTXt", b"k\0\0" + BOMB)] * 3),
        png(9, 9, *[(b"iTXt", b"k\0\1\0\0\0" + BOMB)] * 3),
        png(9, 9, (b"iCCP", b"k\0\0" + BOMB)),
        png(9, 9, (b"acTL", struct.pack(">II", 2**31 - 1, 0))),
        b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x08\x01\0;",
        b"P6 99999 99999 255\n",
        b"P6 " + b"9" * 5000 + b" 1 255\n",
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0,
                            0, 0, 0),
        b"qoif" + struct.pack(">IIBB", 60_000, 60_000, 3, 0),
        b"\0\0\x02\0\0\0\0\0\0\0\0\0" + struct.pack("<HH", 65_535, 65_535) + b"\x18\0",
    ],
    ids=["png-2^62", "png", "zTXt", "iTXt", "iCCP", "acTL", "gif", "ppm", "ppm-digits", "bmp",
         "qoi", "tga"],
)  # fmt: skip
def test_images(guard, tmp_path, data) -> None:
    verdict = guard.read_file("image", write(tmp_path / "a.png", data))
    assert verdict.good, verdict
    assert len(data) < 1 << 20


# Collections


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    path = tmp_path / "c.h2q"
    with h2q.open_collection(str(path), n_bits=20) as made:
        made.add(range(3000), pack(np.random.default_rng(0).standard_normal((3000, 20))))
    return path


SCHEMAS = {
    "an endless view": f"DROP TABLE meta; CREATE VIEW meta AS {ENDLESS} SELECT x AS key, "
    "'n_bits' AS value FROM c",
    "a view that sums for ever": f"DROP TABLE state; CREATE VIEW state AS {ENDLESS} "
    "SELECT sum(x) AS last_row, 0 AS removed, 0 AS forgotten, 1 AS only FROM c",
    "a trigger": "CREATE TRIGGER evil AFTER INSERT ON items BEGIN DELETE FROM items; END",
    "another trigger of our name": "DROP TRIGGER log_removal; CREATE TRIGGER log_removal "
    "AFTER DELETE ON items BEGIN DELETE FROM artifacts; END",
    "a trigger on a view": "ALTER TABLE items RENAME TO i; CREATE VIEW items AS SELECT * FROM i; "
    "CREATE TRIGGER t INSTEAD OF INSERT ON items BEGIN DELETE FROM i; END",
    "an index that computes": "CREATE INDEX i ON items (length(printf('%.*c', 9, code)))",
    "a generated column": "ALTER TABLE items ADD COLUMN x AS (zeroblob(900000000))",
    "a check": "ALTER TABLE state ADD COLUMN x CHECK (zeroblob(900000000) <> 1)",
    "a virtual table": "CREATE VIRTUAL TABLE v USING fts5(x)",
    "a table of another name": "ALTER TABLE removals RENAME TO deletions",
    "no table": "DROP TABLE artifacts",
    "many tables": ";".join(f"CREATE TABLE t{i} (x)" for i in range(120)),
}


@pytest.mark.parametrize("kind", SCHEMAS)
@pytest.mark.parametrize("reader", ["collection-read", "collection-write"])
def test_schemas_that_are_not_ours(guard, collection, reader, kind) -> None:
    connection = sqlite3.connect(collection)
    connection.executescript(SCHEMAS[kind])
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    refused(guard, reader, collection, "not a collection as h2q makes it")


@pytest.mark.parametrize("reader", ["collection-read", "collection-write"])
def test_pages_that_lead_to_the_same_page(guard, collection, reader) -> None:
    """Ten levels of pages, each of which names the next four hundred times."""
    connection = sqlite3.connect(collection)
    connection.execute("PRAGMA journal_mode = DELETE")
    root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'items'")
    page = int(root.fetchone()[0])
    connection.close()
    data = bytearray(collection.read_bytes())
    size = int.from_bytes(data[16:18])
    count = len(data) // size
    leaf = int.from_bytes(data[(page - 1) * size + 8 : (page - 1) * size + 12])
    cells = 400
    for level in range(10):
        place = page if level == 0 else count + level
        following = leaf if level == 9 else count + level + 1
        made = bytearray(size)
        made[0] = 5  # an inner page of a table
        at = size
        for cell in range(cells):
            body = following.to_bytes(4) + b"\x81\x00"
            at -= len(body)
            made[at : at + len(body)] = body
            made[12 + 2 * cell : 14 + 2 * cell] = at.to_bytes(2)
        made[3:5], made[5:7] = cells.to_bytes(2), at.to_bytes(2)
        made[8:12] = following.to_bytes(4)
        if place > count:
            data += made
        else:
            data[(place - 1) * size : place * size] = made
    data[28:32] = (len(data) // size).to_bytes(4)
    collection.write_bytes(data)
    verdict = guard.read_file(reader, collection)
    assert verdict.kind in ("refused", "slow"), verdict


VALUES: dict[str, Callable[[sqlite3.Connection], Any]] = {
    "n_bits": lambda c: c.execute("UPDATE meta SET value = '99999999999' WHERE key = 'n_bits'"),
    "digits": lambda c: c.execute(f"UPDATE meta SET value = '{'9' * 6000}' WHERE key = 'n_bits'"),
    "blob of n_bits": lambda c: c.execute("UPDATE meta SET value = x'ff' WHERE key = 'n_bits'"),
    "state": lambda c: c.execute("UPDATE state SET last_row = 99999999999, removed = 5"),
    "no state": lambda c: c.execute("DELETE FROM state"),
    "negative": lambda c: c.execute("UPDATE state SET removed = -5"),
    "code of text": lambda c: c.execute("UPDATE items SET code = 'abc' WHERE row < 9"),
    "long code": lambda c: c.execute("UPDATE items SET code = zeroblob(9) WHERE row < 9"),
    "id of a fraction": lambda c: c.execute("UPDATE items SET id = row + 0.5 WHERE row < 9"),
    "id of bytes": lambda c: c.execute("UPDATE items SET id = x'00' WHERE row = 9"),
    "no Unicode": lambda c: c.execute("UPDATE items SET id = CAST(x'ff' AS TEXT) WHERE row = 9"),
    "payload": lambda c: c.execute("UPDATE items SET payload = '[1]' WHERE row < 9"),
    "deep payload": lambda c: c.execute("UPDATE items SET payload = ?", ('{"a":' * 5000,)),
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("reader", ["collection-read", "collection-write"])
def test_values_that_are_not_ours(guard, collection, reader, kind) -> None:
    connection = sqlite3.connect(collection)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    VALUES[kind](connection)
    connection.commit()
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    verdict = guard.read_file(reader, collection)
    assert verdict.kind == "refused" or kind == "state", verdict
