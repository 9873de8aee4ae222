"""A server that is killed, gone and back, asks for a password, or holds something else."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2q import open_collection
from h2q.errors import CollectionError, CompatibilityError, FormatError
from tests.collections.brute_collection import DictModel, same_content
from tests.collections.conformance import random_codes
from tests.collections.milvus.server import MilvusServer, started_or_skipped

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Iterator[MilvusServer]:
    """A server these tests may kill; each leaves it running."""
    server = started_or_skipped(tmp_path_factory.mktemp("milvus"), program)
    with server.running():
        yield server


def group(number: int) -> tuple[list[str], np.ndarray, list[dict[str, Any]]]:
    ids = [f"{number} {i}" for i in range(500)]
    return ids, random_codes(500, 64, seed=number), [{"group": number}] * 500


def test_a_server_killed_while_items_are_added_loses_nothing_acknowledged(mortal):
    """Twice SIGKILL, in the middle of writes, then started again on the same data."""
    model, acknowledged = DictModel(64), []
    address = f"milvus://{mortal.address}/ingest"
    open_collection(address, n_bits=64).close()
    for seconds in (1.0, 2.5):
        killer = threading.Timer(seconds, mortal.kill)
        killer.start()
        with open_collection(address, timeout=2) as collection:
            first = len(acknowledged)
            with pytest.raises(CollectionError, match="repeat the call"):
                add_without_end(collection, acknowledged)
        assert len(acknowledged) > first
        killer.join()
        mortal.start()
        for number in acknowledged[first:]:
            model.add(*group(number))
        with open_collection(address, timeout=120) as collection:
            # The one under way when the server was killed may be there: whole or not at all.
            under_way = group(len(acknowledged))
            there = sum(item is not None for item in collection.get(under_way[0]))
            assert there in (0, 500)
            assert len(collection) == len(model.items) + there
            collection.delete(under_way[0])
            same_content_quickly(collection, model)
            query = random_codes(1, 64, seed=999)[0]
            found = collection.search(query, 20)
            assert (found.ids[0], found.distances[0].tolist()) == model.nearest(query, 20)


def add_without_end(collection: Any, acknowledged: list[int]) -> None:
    while True:
        collection.add(*group(len(acknowledged)))
        acknowledged.append(len(acknowledged))


def same_content_quickly(collection: Any, model: DictModel) -> None:
    assert len(collection) == len(model.items)
    seen: dict[Any, Any] = {}
    for batch in collection.iterate():
        codes = [code.tobytes() for code in batch.codes]
        seen.update(zip(batch.ids, zip(codes, batch.payloads, strict=True), strict=True))
    assert seen == model.items
    assert list(seen) == list(model.items)


def test_a_server_that_is_gone_in_mid_query_and_comes_back(mortal):
    codes = random_codes(2000, 64)
    address = f"milvus://{mortal.address}/gone"
    with open_collection(address, n_bits=64, timeout=3) as collection:
        collection.add(range(2000), codes)
        before = collection.search(codes[:5], 3)
        killer = threading.Timer(0.5, mortal.kill)
        killer.start()
        started = time.monotonic()
        with pytest.raises(CollectionError, match=r"127\.0\.0\.1.*repeat the call"):
            search_without_end(collection, codes)
        assert time.monotonic() - started < 20
        killer.join()
        calls: list[Callable[[], object]] = [
            lambda: collection.count(),
            lambda: collection.add(["a"], codes[:1]),
            lambda: collection.get([1]),
            lambda: collection.within(codes[:1], 3),
        ]
        for call in calls:
            with pytest.raises(CollectionError, match=r"127\.0\.0\.1"):
                call()
        mortal.start()
        wait_until(lambda: len(collection) == 2000)
        assert collection.search(codes[:5], 3).ids == before.ids
        collection.add(["a"], codes[:1])
        assert "a" in collection


def search_without_end(collection: Any, codes: np.ndarray) -> None:
    while True:
        collection.search(codes[:200], 100)


def wait_until(holds: Any, seconds: float = 90) -> None:
    """A server that has just started loads its collections first."""
    limit = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except CollectionError:
            if time.monotonic() > limit:
                raise
        assert time.monotonic() < limit
        time.sleep(0.2)


def test_a_restart_within_the_timeout_is_not_noticed(mortal):
    """The retries of one call bridge it."""
    codes = random_codes(300, 64)
    with open_collection(f"milvus://{mortal.address}/bridge", n_bits=64, timeout=90) as collection:
        collection.add(range(300), codes)
        mortal.kill()
        starter = threading.Thread(target=mortal.start)
        starter.start()
        try:
            assert collection.search(codes[7], 1).distances[0].tolist() == [0]
            collection.add(["late"], codes[:1])
        finally:
            starter.join()
        assert len(collection) == 301


# Other things on the server


def test_a_collection_that_is_not_ours_is_refused_and_left_as_it_is(server):
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(f"http://{server.address}")
    for name, description in (
        ("theirs", "photos"),
        ("theirs_json", '{"format": "else", "format_version": 1}'),
        ("theirs_list", "[]"),
        ("theirs_empty", ""),
    ):
        schema = client.create_schema(description=description)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("code", DataType.BINARY_VECTOR, dim=64)
        client.create_collection(name, schema=schema)
        before = client.describe_collection(name)
        for options in ({}, {"n_bits": 64}, {"mode": "r"}):
            with pytest.raises(FormatError, match=f"{name}: .*h2q did not make it"):
                open_collection(f"milvus://{server.address}/{name}", **options)
        assert client.describe_collection(name) == before
    client.close()


def described(server: MilvusServer, name: str, **changes: Any) -> str:
    """Make a collection that states of itself what one of another version might."""
    from pymilvus import DataType, MilvusClient

    client = MilvusClient(f"http://{server.address}")
    stated = {"format": "h2q collection", "format_version": 1, "n_bits": 64, "keep": "codes",
              "index": {"kind": "flat", "options": {}}, "bit_order": "msb", "created_by": "x",
              "companion": "", "artifacts": {}, **changes}  # fmt: skip
    schema = client.create_schema(description=json.dumps(stated))
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=100)
    schema.add_field("code", DataType.BINARY_VECTOR, dim=64)
    client.create_collection(name, schema=schema)
    client.close()
    return f"milvus://{server.address}/{name}"


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"format_version": 7}, CompatibilityError, "version 7.*reads version 1"),
        ({"bit_order": "lsb"}, CompatibilityError, "'lsb'.*'msb'"),
        ({"keep": "float64"}, FormatError, "damaged"),
        ({"unknown": 1}, FormatError, "damaged"),
    ],
)
def test_other_versions_and_damage_are_refused(server, changes, error, words):
    name = f"other_{next(iter(changes))}"
    with pytest.raises(error, match=words):
        open_collection(described(server, name, **changes))


def test_a_collection_of_other_bits_is_refused(address):
    open_collection(address, n_bits=64).close()
    with pytest.raises(CompatibilityError, match=r"64-bit.* 48 bits"):
        open_collection(address, n_bits=48)


def test_more_bits_than_a_server_takes_are_refused(address):
    with pytest.raises(CollectionError, match="dimension"):
        open_collection(address, n_bits=40_000)


def test_a_collection_dropped_meanwhile_is_said_at_once(address):
    with open_collection(address, n_bits=64, timeout=20) as collection:
        collection._server.call("drop_collection", collection._server.address.name)
        started = time.monotonic()
        with pytest.raises(CollectionError, match=r"not found|can't find|not exist"):
            collection.count()
        assert time.monotonic() - started < 15


def test_a_collection_released_from_memory_is_loaded_when_opened(address):
    with open_collection(address, n_bits=64) as collection:
        collection.add(["a"], random_codes(1, 64))
        collection._server.call("release_collection", collection._server.address.name)
    with open_collection(address, mode="r") as collection:
        assert list(collection) == ["a"]


def test_making_that_was_interrupted_is_finished_by_the_next(address, monkeypatch):
    from h2q.collections.milvus import opening

    with monkeypatch.context() as patch:
        patch.setattr(opening, "make_ready", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            open_collection(address, n_bits=64)
    with open_collection(address) as collection:
        collection.add(["a"], random_codes(1, 64))
        assert collection.search(random_codes(1, 64), 1).ids == [["a"]]


def test_a_file_that_cannot_be_stored_leaves_nothing_behind(server, address, tmp_path, monkeypatch):
    from h2q.collections.milvus import schema

    model = tmp_path / "model.bin"
    header = b'{"__metadata__":{"kind":"hasher","hasher":"{\\"n_bits\\": 24}"}}'
    model.write_bytes(len(header).to_bytes(8, "little") + header)

    def fail(*_: object) -> None:
        raise CollectionError("no")

    monkeypatch.setattr(schema, "_make", fail)
    with pytest.raises(CollectionError, match="no"):
        open_collection(address, model=model)
    from pymilvus import MilvusClient

    client = MilvusClient(f"http://{server.address}")
    name = address.rpartition("/")[2]
    assert not [each for each in client.list_collections() if each.startswith(name)]
    client.close()


# Passwords


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Iterator[MilvusServer]:
    server = started_or_skipped(tmp_path_factory.mktemp("milvus"), program, authorization=True)
    with server.running():
        yield server


def test_passwords(guarded):
    right = f"milvus://root:Milvus@{guarded.address}/photos"
    with open_collection(right, n_bits=16) as collection:
        collection.add(["a"], random_codes(1, 16))
        assert "Milvus@" not in collection.uri + repr(collection)
        assert collection.uri == f"milvus://root@{guarded.address}/photos"
    for user in ("root:Wr0ng@", "nobody:Milvus@", ""):
        with pytest.raises(CollectionError, match="user or the password") as refused:
            open_collection(f"milvus://{user}{guarded.address}/photos", timeout=10)
        assert "Wr0ng" not in str(refused.value)
    with open_collection(right, mode="r") as collection:
        model = DictModel(16)
        model.add(["a"], random_codes(1, 16))
        same_content(collection, model)
