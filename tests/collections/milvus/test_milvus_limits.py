"""What exceeds the limits of a server's single request, and its indexes."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from h2q import open_collection
from h2q.codes import pack
from h2q.collections.milvus import paging, searching, writing
from h2q.collections.milvus.server import TooLargeError
from h2q.errors import CollectionError, CompatibilityError, FormatError, InvalidInputError
from tests.collections.brute_collection import DictModel, exact_rows, same_content
from tests.collections.conformance import random_codes

pytestmark = pytest.mark.slow

N = 40_000


@pytest.fixture(scope="module")
def many(server):
    """More items than a server returns at once, of few codes, so that ties are beyond it, too."""
    model = DictModel(12)
    codes = random_codes(N, 12)
    codes[: N // 2] = codes[0]
    with open_collection(f"milvus://{server.address}/many", n_bits=12) as collection:
        for each in (collection, model):
            each.add(range(N), codes, [{"n": i % 10} for i in range(N)])
        yield collection, model


def test_iterates_in_order_beyond_the_limit(many):
    collection, model = many
    ids = [i for batch in collection.iterate(batch_size=20_000) for i in batch.ids]
    assert ids == list(model.items)
    assert [len(batch.ids) for batch in collection.iterate(batch_size=15_000)] == [
        15_000, 15_000, 10_000,
    ]  # fmt: skip


@pytest.mark.parametrize("k", [10, 16_384, 16_385, N + 1])
def test_ties_and_results_beyond_the_limit(many, k):
    collection, model = many
    code = next(iter(model.items.values()))[0]
    query = np.frombuffer(code, np.uint8)
    found = collection.search(query, k)
    assert (found.ids[0], found.distances[0].tolist()) == model.nearest(query, k)


def test_a_mixed_batch(many):
    """Some queries can be answered by the server, one cannot."""
    collection, model = many
    tied = np.frombuffer(next(iter(model.items.values()))[0], np.uint8)
    queries = np.stack([random_codes(3, 12, seed=5)[i] for i in range(3)] + [tied])
    found, near = collection.search(queries, 5), collection.within(queries, 1)
    for i, query in enumerate(queries):
        assert (found.ids[i], found.distances[i].tolist()) == model.nearest(query, 5)
        assert (near.ids[i], near.distances[i].tolist()) == model.within(query, 1)


def test_an_asymmetric_shortlist_is_cut_where_the_server_cuts_it(many):
    row = exact_rows(np.random.default_rng(0), 1, 12)
    found = many[0].search(row, 5, oversample=100_000)
    assert len(found.ids[0]) == 5


def test_get_and_delete_of_more_than_one_request(server):
    with open_collection(f"milvus://{server.address}/gone", n_bits=8) as collection:
        n = 10_000
        collection.add(range(n), random_codes(n, 8))
        assert [item.id for item in collection.get(range(n))] == list(range(n))
        assert collection.delete(range(0, 2 * n, 2)) == n // 2
        assert list(collection) == list(range(1, n, 2))


def test_a_call_of_several_requests(server, monkeypatch):
    monkeypatch.setattr(writing, "_MOST_ROWS", 70)
    monkeypatch.setattr(writing, "_MOST_BYTES", 5000)
    model = DictModel(16)
    with open_collection(f"milvus://{server.address}/parts", n_bits=16) as collection:
        for each in (collection, model):
            each.add(range(500), random_codes(500, 16), [{"t": "x" * i} for i in range(500)])
        same_content(collection, model)


def test_a_call_that_fails_midway_says_how_far_it_came(server, monkeypatch):
    monkeypatch.setattr(writing, "_MOST_ROWS", 70)
    with open_collection(f"milvus://{server.address}/midway", n_bits=16) as collection:
        call = collection._server.call
        sent = []

        def fail_third(method, *arguments, **options):
            sent.append(method)
            if sent.count("upsert") == 3 and method == "upsert":
                raise CollectionError("the server is gone")
            return call(method, *arguments, **options)

        monkeypatch.setattr(collection._server, "call", fail_third)
        with pytest.raises(CollectionError, match="of 200 items the first 140 were added"):
            collection.add(range(200), random_codes(200, 16))
        assert list(collection) == list(range(140))


def test_answers_larger_than_the_server_sends(server):
    """80 MB of payloads, of which a server returns some 60 at once."""
    with open_collection(f"milvus://{server.address}/large", n_bits=8) as collection:
        n = 1200
        payloads = [{"text": "x" * 65_000, "n": i} for i in range(n)]
        for start in range(0, n, 400):
            part = slice(start, start + 400)
            collection.add(range(n)[part], random_codes(400, 8), payloads[part])
        with pytest.raises(TooLargeError):
            collection._server.call(
                "query", "large", filter="seq >= 0", output_fields=["payload"], limit=n
            )
        seen = [p["n"] for batch in collection.iterate(500) for p in batch.payloads]
        assert seen == list(range(n))


def test_items_too_large_are_refused_before_anything_is_sent(address):
    with open_collection(address, n_bits=8) as collection:
        for ids, payload in ((["a", "x" * 70_000], None), (["a", "b"], {"t": "x" * 70_000}),
                             (["a", "ü" * 12_000], None)):  # fmt: skip
            with pytest.raises(InvalidInputError, match=r"a Milvus server keeps 65535"):
                collection.add(ids, random_codes(2, 8), [None, payload])
        assert len(collection) == 0
        collection.add(["x" * 65_000], random_codes(1, 8), [{"t": "ü" * 32_000}])
        assert collection.get(["x" * 65_000])[0].payload == {"t": "ü" * 32_000}


def test_integers_beyond_64_bits_come_back_as_they_were(address):
    payloads = [{"n": 2**70, "m": [-(2**63) - 1]}, {"n": 2**63}, {"n": 2**64 - 1}, {"n": 10**18}]
    with open_collection(address, n_bits=8) as collection:
        collection.add(range(4), random_codes(4, 8), payloads)
        assert [item.payload for item in collection.get(range(4))] == payloads


def test_two_writers_at_once_lose_nothing(address):
    """Each keeps its own order; of an item both write, one of the two stands."""
    open_collection(address, n_bits=16).close()
    codes = random_codes(2000, 16)

    def write(name: str) -> None:
        with open_collection(address) as collection:
            for start in range(0, 2000, 100):
                ids = [f"{name} {i}" if i % 2 else i for i in range(start, start + 100)]
                collection.add(ids, codes[start : start + 100], [{"by": name}] * 100)

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_collection(address) as collection:
        ids = list(collection)
        assert len(ids) == len(set(ids)) == len(collection) == 3000
        for name in "ab":
            own = [i for i in ids if isinstance(i, str) and i.startswith(name)]
            assert own == [f"{name} {i}" for i in range(1, 2000, 2)]


# Indexes


@pytest.mark.parametrize("index", ["ivf", "hnsw"])
def test_other_indexes_find_nearly_all(server, index):
    options = {"ivf": {"nlist": 16, "nprobe": 16}, "hnsw": {"m": 8, "ef_search": 400}}[index]
    model, codes = DictModel(32), random_codes(3000, 32)
    with open_collection(
        f"milvus://{server.address}/by_{index}", n_bits=32, index=index, index_options=options
    ) as collection:
        for each in (collection, model):
            each.add(range(3000), codes)
        collection._server.call("flush", f"by_{index}")
        assert collection.info().index == index
        queries = random_codes(20, 32, seed=1)
        found, near = collection.search(queries, 10), collection.within(queries, 10)
        share = []
        for i, query in enumerate(queries):
            _, distances = model.nearest(query, 10)
            share.append(np.mean(found.distances[i] == distances))
            wanted = model.within(query, 10)[0]
            assert set(near.ids[i]) <= set(wanted)
            if index == "ivf":  # all its lists are looked at
                assert near.ids[i] == wanted
        assert np.mean(share) > 0.9


def test_an_index_is_fixed_and_its_search_options_are_not(address):
    options = {"nlist": 8, "nprobe": 2}
    with open_collection(address, n_bits=16, index="ivf", index_options=options) as made:
        assert made._facts.index.options["nprobe"] == 2
    with open_collection(address, index_options={"nprobe": 5}) as again:
        assert (again.info().index, again._facts.index.built_with) == ("ivf", {"nlist": 8})
        assert again._facts.index.options["nprobe"] == 5
    with pytest.raises(CompatibilityError, match="index='ivf', index='flat'"):
        open_collection(address, index="flat")
    with pytest.raises(CompatibilityError, match="nlist=8, nlist=9"):
        open_collection(address, index_options={"nlist": 9})
    for bad in ({"m": 3}, {"nprobe": 0}, {"nprobe": 1.5}):
        with pytest.raises(InvalidInputError, match="index_options"):
            open_collection(address, index_options=bad)


@pytest.mark.parametrize(
    ("index", "options", "words"),
    [("mih", None, "'flat' or 'ivf' or 'hnsw'"), ("flat", {"nlist": 3}, "has no options")],
)
def test_indexes_it_has_not_are_refused(address, index, options, words):
    with pytest.raises(InvalidInputError, match=words):
        open_collection(address, n_bits=16, index=index, index_options=options)


# What it is made of


def test_a_model_of_many_chunks(address, tmp_path):
    model = tmp_path / "model.bin"
    header = b'{"__metadata__":{"kind":"hasher","hasher":"{\\"n_bits\\": 24}"}}'
    model.write_bytes(len(header).to_bytes(8, "little") + header + os.urandom(5 << 20))
    with open_collection(address, model=model) as collection:
        assert collection.n_bits == 24
    with open_collection(address, model=model) as again:
        assert again.model_bytes() == model.read_bytes()
        again.write_model(tmp_path / "copy.bin")
        assert (tmp_path / "copy.bin").read_bytes() == model.read_bytes()
        assert again.quantizer is None
        # A chunk that is lost is noticed.
        companion = again._meta.companion
        again._server.call("delete", companion, filter='id in ["model 00000003"]')
        with pytest.raises(FormatError, match="checksum"):
            again.write_model(tmp_path / "copy.bin")
    assert (tmp_path / "copy.bin").read_bytes() == model.read_bytes()


def test_codes_are_kept_as_they_are(address):
    """Bit 0 is the highest bit of byte 0, in the server as here: nothing is reordered."""
    codes = pack(np.eye(16))
    with open_collection(address, n_bits=16) as collection:
        collection.add(range(16), codes)
        rows = collection._server.call(
            "query", collection._server.address.name, filter="seq >= 0", output_fields=["code"]
        )
        held = {row["id"]: row["code"][0] for row in rows}
        assert [held[f"i{i}"] for i in range(16)] == [code.tobytes() for code in codes]


def test_many_made_at_once_are_one(address):
    results: list[object] = []

    def make() -> None:
        try:
            with open_collection(address, n_bits=16) as collection:
                collection.add([threading.get_ident()], random_codes(1, 16))
                results.append(collection.n_bits)
        except Exception as error:
            results.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [16] * 4
    with open_collection(address) as collection:
        assert len(collection) == 4


def test_a_search_is_split_where_a_server_sends_too_little(many, monkeypatch):
    """As if an answer for more than 3 queries were too large."""
    collection, model = many
    call = collection._server.call

    def narrow(method, *arguments, **options):
        if method == "search" and len(options["data"]) > 3:
            raise TooLargeError("too much")
        return call(method, *arguments, **options)

    monkeypatch.setattr(collection._server, "call", narrow)
    queries = random_codes(10, 12, seed=6)
    assert collection.search(queries, 3).ids == [model.nearest(query, 3)[0] for query in queries]


def test_the_constants_are_within_the_limits_of_a_server():
    assert paging._PAGE <= searching.MOST == 16_384
    assert writing._MOST_BYTES < 64 << 20
