"""`.u8bin` and `.fbin` of big-ann-benchmarks and DiskANN: n and d as uint32, then rows."""

from __future__ import annotations

import struct
from pathlib import Path

import faiss
import numpy as np
import pytest

from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles import read_codes, write_codes
from h2q.rowfiles.bigann import load_rows, save_rows
from tests.rowfiles.samples import check_neighbours, queries_for, sample


def test_the_bytes_are_the_formats(tmp_path: Path) -> None:
    given = sample(36, 40)
    data = write_codes(given, tmp_path / "codes.u8bin").read_bytes()
    assert data == struct.pack("<II", 40, 5) + given.gather().codes.tobytes()


def test_faiss_finds_the_same_neighbours_in_both(tmp_path: Path) -> None:
    given = sample(64, 300, "int")
    queries = queries_for(64)
    ids = np.array(given.gather().ids)
    raw = np.fromfile(write_codes(given, tmp_path / "codes.u8bin"), dtype=np.uint8)[8:]
    binary = faiss.IndexBinaryFlat(64)
    binary.add(raw.reshape(300, 8))
    distances, rows = binary.search(queries, 10)
    check_neighbours(given, queries, ids[rows].tolist(), distances, 10)

    write_codes(given, tmp_path / "codes.fbin")
    real = np.fromfile(tmp_path / "codes.fbin", dtype="<f4")[2:].reshape(300, 64)
    flat = faiss.IndexFlatL2(64)
    flat.add(real)
    signs = np.unpackbits(queries, axis=1).astype(np.float32) * 2 - 1
    squared, rows = flat.search(signs, 10)
    check_neighbours(given, queries, ids[rows].tolist(), (squared / 4).round(), 10)


def test_real_rows_both_ways(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 7)).astype(np.float32)
    path = save_rows(tmp_path / "rows.fbin", rows)
    assert path.read_bytes() == struct.pack("<II", 30, 7) + rows.tobytes()
    np.testing.assert_array_equal(load_rows(path), rows)
    np.testing.assert_array_equal(
        np.unpackbits(read_codes(path).gather().codes, axis=1, count=7), rows > 0
    )
    with pytest.raises(InvalidInputError):
        save_rows(path, rows[0])
    path.write_bytes(struct.pack("<II", 2**32 - 1, 2**32 - 1) + b"x")
    with pytest.raises(FormatError, match="truncated"):
        load_rows(path)
    save_rows(path, np.full((2, 7), np.nan, np.float32))
    with pytest.raises(FormatError, match="NaN"):
        read_codes(path).gather()
