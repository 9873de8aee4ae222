"""Against a real Milvus: our bytes go in by pymilvus, and the same neighbours come out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles import stream_of_codes
from h2q.rowfiles.milvus_bytes import (
    binary_vectors,
    codes_from_binary_vectors,
    milvus_dim,
    milvus_rows,
)
from tests.collections.milvus.server import started_or_skipped
from tests.rowfiles.samples import check_neighbours, queries_for, sample


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    program = tmp_path_factory.mktemp("milvus-program")
    server = started_or_skipped(tmp_path_factory.mktemp("milvus") / "data", program)
    try:
        from pymilvus import MilvusClient

        connected = MilvusClient(f"http://{server.address}")
        yield connected
        connected.close()
    finally:
        server.kill()
        shutil.rmtree(program, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize("n_bits", [64, 36])
def test_milvus_finds_the_same_neighbours(n_bits: int, client: Any) -> None:
    from pymilvus import DataType

    everything = sample(n_bits, 300, "int").gather()
    payloads = [{"label": f"cat {i % 3}"} for i in range(300)]
    given = stream_of_codes(everything.codes, n_bits, everything.ids, payloads)
    name = f"codes{n_bits}"
    schema = client.create_schema(enable_dynamic_field=True)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("code", DataType.BINARY_VECTOR, dim=milvus_dim(n_bits))
    index = client.prepare_index_params()
    index.add_index("code", index_type="BIN_FLAT", metric_type="HAMMING")
    client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")
    for rows in milvus_rows(given, size=90):
        client.insert(name, rows)
    queries = queries_for(n_bits)
    found = client.search(
        name, binary_vectors(queries, n_bits), limit=10, output_fields=["label", "code"]
    )
    ids = [[hit["id"] for hit in hits] for hits in found]
    distances = [[hit["distance"] for hit in hits] for hits in found]
    check_neighbours(given, queries, ids, distances, 10)
    label = dict(zip(everything.ids, payloads, strict=True))
    code = {each: everything.codes[row] for row, each in enumerate(everything.ids)}
    for hits in found:
        assert all(hit["entity"]["label"] == label[hit["id"]]["label"] for hit in hits)
        back = codes_from_binary_vectors([hit["entity"]["code"] for hit in hits], n_bits)
        np.testing.assert_array_equal(back, [code[hit["id"]] for hit in hits])


def test_bytes_and_back() -> None:
    codes = sample(36, 20).gather().codes
    vectors = binary_vectors(codes, 36)
    assert milvus_dim(36) == 40
    assert [type(each) for each in vectors] == [bytes] * 20
    assert {len(each) for each in vectors} == {5}
    np.testing.assert_array_equal(codes_from_binary_vectors(vectors, 36), codes)
    with pytest.raises(InvalidInputError, match="8 bytes"):
        codes_from_binary_vectors(vectors, 64)
    with pytest.raises(FormatError, match="filling bits"):
        codes_from_binary_vectors([b"\xff" * 5], 36)


def test_rows_that_milvus_could_not_take() -> None:
    with pytest.raises(InvalidInputError, match="both kinds"):
        list(milvus_rows(sample(64, 20, "mixed", payloads=False)))
    with pytest.raises(InvalidInputError, match="'id', which is a field"):
        list(milvus_rows(sample(64, 20, "int")))
    rows = next(milvus_rows(sample(64, 20, "int"), id_field="key", code_field="vector"))
    assert rows[0].keys() >= {"key", "vector", "label", "id"}
