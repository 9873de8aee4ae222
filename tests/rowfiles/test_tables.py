"""Parquet and Arrow through pyarrow itself, and through faiss from the bytes in the column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from h2q.errors import FormatError
from h2q.rowfiles import CodeStream, read_codes, write_codes
from tests.rowfiles.samples import check_neighbours, payload, queries_for, same, sample


def table_of(path: Path) -> Any:
    return pq.read_table(path) if path.suffix == ".parquet" else pyarrow.feather.read_table(path)


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
def test_pyarrow_sees_types_columns_and_metadata(suffix: str, tmp_path: Path) -> None:
    given = sample(36, 100, "int")
    table = table_of(write_codes(given, tmp_path / f"codes{suffix}"))
    assert [str(field.type) for field in table.schema][:3] == [
        "int64", "fixed_size_binary[5]", "string",
    ]  # fmt: skip
    stated = {k.decode(): v.decode() for k, v in table.schema.metadata.items() if b"h2q" in k}
    assert (stated["h2q.n_bits"], stated["h2q.bit_order"]) == ("36", "msb")
    types = {field.name: str(field.type) for field in table.schema}
    plain = {"label": "string", "year": "int64", "score": "double", "good": "bool", "rare": "int64"}
    assert {name: types[name] for name in plain} == plain
    assert {"tags", "either", "huge"}.isdisjoint(types)  # not plain: in the payload alone
    assert table["year"].to_pylist() == [(payload(i) or {}).get("year") for i in range(100)]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_the_bytes_of_the_column_give_the_same_neighbours(suffix: str, tmp_path: Path) -> None:
    given = sample(64, 300, "int")
    table = table_of(write_codes(given, tmp_path / f"codes{suffix}"))
    codes = np.frombuffer(b"".join(table["code"].to_pylist()), np.uint8).reshape(-1, 8)
    index = faiss.IndexBinaryFlat(64)
    index.add(codes)
    queries = queries_for(64)
    distances, rows = index.search(queries, 10)
    ids = np.array(table["id"].to_pylist())[rows].tolist()
    check_neighbours(given, queries, ids, distances, 10)


@pytest.mark.parametrize("kind", ["binary", "list", "fixed"])
def test_foreign_tables_are_read(kind: str, tmp_path: Path) -> None:
    everything = sample(64, 50, "int").gather()
    cells = [row.tobytes() for row in everything.codes]
    column = {
        "binary": lambda: pa.array(cells),
        "list": lambda: pa.array([list(cell) for cell in cells], pa.list_(pa.uint8())),  # Milvus
        "fixed": lambda: pa.array(cells, pa.binary(8)),
    }[kind]()
    table = pa.table({"id": everything.ids, "code": column, "label": ["x", None] * 25})
    pq.write_table(table, tmp_path / "theirs.parquet")
    with pytest.raises(FormatError, match="--bits"):
        read_codes(tmp_path / "theirs.parquet")
    found = read_codes(tmp_path / "theirs.parquet", n_bits=64).gather()
    same(found, everything, payloads=False)
    assert found.payloads[:2] == [{"label": "x"}, None]
    with pytest.raises(FormatError, match="5 bytes wide"):
        read_codes(tmp_path / "theirs.parquet", n_bits=40).gather()
    pq.write_table(table.rename_columns(["id", "vector", "label"]), tmp_path / "theirs.parquet")
    with pytest.raises(FormatError, match="no column 'code'"):
        read_codes(tmp_path / "theirs.parquet", n_bits=64)
    pq.write_table(table.drop_columns(["id"]), tmp_path / "theirs.parquet")
    assert read_codes(tmp_path / "theirs.parquet", n_bits=64).gather().ids[:2] == ["0", "1"]


def test_a_collection_that_changes_meanwhile_loses_nothing(tmp_path: Path) -> None:
    """The second time through, a payload has another type, another key, or is new."""
    codes = sample(8, 3).gather().codes
    rounds = iter(
        [
            [{"a": 1}, {"a": 2}],
            [{"a": "text"}, {"a": 2.5, "b": True}, {"a": 3}],
        ]
    )

    def batches(size: int) -> Any:
        from h2q.collections.base import Batch

        payloads = next(rounds)
        n = len(payloads)
        yield Batch(list(range(n)), codes[:n], [dict(p) for p in payloads])

    path = write_codes(CodeStream(8, 2, batches), tmp_path / "codes.parquet")
    assert table_of(path)["a"].to_pylist() == [None, None, 3]
    assert read_codes(path).gather().payloads == [{"a": "text"}, {"a": 2.5, "b": True}, {"a": 3}]
