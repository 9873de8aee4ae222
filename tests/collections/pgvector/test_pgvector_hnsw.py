"""The HNSW index: what it finds, what it may not spoil, and its options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from h2q.codes import pack
from h2q.collections import Collection, open_collection
from h2q.errors import CollectionError, CompatibilityError, InvalidInputError
from tests.collections.conformance import random_codes
from tests.collections.pgvector.server import PostgresServer

N, N_BITS = 3000, 64


def clustered(n: int, seed: int) -> np.ndarray:
    """Rows about 30 directions, as embeddings lie; those of every seed about the same ones."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((30, N_BITS))
    return centres[rng.integers(0, 30, n)] + 0.6 * rng.standard_normal((n, N_BITS))


@pytest.fixture(scope="module")
def indexed(server: PostgresServer) -> str:
    """A collection that was filled first and indexed then."""
    address = server.new_address()
    payloads = [{"part": i % 100, "half": i % 2} for i in range(N)]
    with open_collection(address, n_bits=N_BITS, keep="scale") as collection:
        rows = clustered(N, 1)
        collection.add(range(N), pack(rows), payloads, embeddings=rows)
    open_collection(address, index="hnsw").close()
    return address


def recall(near: Collection, exact: Collection, k: int, **options: Any) -> float:
    """Share of the found that are as near as the exact k-th."""
    queries = clustered(30, 2)
    found = near.search(queries, k, rank="hamming", **options)
    truth = exact.search(queries, k, rank="hamming", **options)
    assert [len(ids) for ids in found.ids] == [len(ids) for ids in truth.ids]
    assert all((np.diff(each) >= 0).all() for each in found.distances)
    return float(
        np.mean(
            [np.mean(a <= b[-1]) for a, b in zip(found.distances, truth.distances, strict=True)]
        )
    )


@pytest.mark.parametrize("where", [None, {"half": 1}, {"part": 7}, {"part": {"$gte": 40}}])
@pytest.mark.parametrize("k", [10, 200, 1500])
def test_recall(indexed, where, k):
    """As many as an exact search finds, though `ef_search` is less than k, and nearly the same."""
    with open_collection(indexed) as near, open_collection(indexed, index="flat") as exact:
        assert (near.info().index, exact.info().index) == ("hnsw", "flat")
        assert recall(near, exact, k, where=where) >= 0.97


def test_a_wider_search_finds_no_less(server):
    """Random codes are the hardest: none is much nearer than another."""
    address = server.new_address()
    with open_collection(address, n_bits=N_BITS) as exact:
        exact.add(range(N), random_codes(N, N_BITS))
        open_collection(address, index="hnsw", index_options={"m": 4, "ef_construction": 8}).close()
        shares = []
        for ef_search in (1, 1000):
            with open_collection(address, index_options={"ef_search": ef_search}) as near:
                shares.append(recall(near, exact, 10))
    assert shares[0] < shares[1]
    assert shares[1] > 0.9


def test_a_search_goes_by_the_index(indexed, server):
    def scans() -> int:
        with server.connect() as connection:
            row = connection.execute(
                "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE indexrelname LIKE '%hnsw'"
            ).fetchone()
        return int(row[0])

    for index, used in ((None, True), ("flat", False)):
        before = scans()
        with open_collection(indexed, index=index) as collection:
            collection.search(clustered(5, 3), 10, rank="hamming")
            collection.within(clustered(5, 3), 10)
        assert (scans() > before) is used


def test_an_exact_search_stays_exact_where_another_client_makes_an_index(server):
    address = server.new_address()
    with open_collection(address, n_bits=N_BITS) as early:
        early.add(range(N), random_codes(N, N_BITS))
        queries = random_codes(20, N_BITS, seed=5)
        before = early.search(queries, 30)
        open_collection(address, index="hnsw", index_options={"m": 2, "ef_construction": 4}).close()
        after = early.search(queries, 30)
        assert after.ids == before.ids


def test_other_ranks_and_changes(indexed):
    with open_collection(indexed) as near, open_collection(indexed, index="flat") as exact:
        rows = clustered(10, 4)
        for rank in ("asymmetric", "calibrated"):
            found, truth = near.search(rows, 10, rank=rank), exact.search(rows, 10, rank=rank)
            same = [len({*a} & {*b}) for a, b in zip(found.ids, truth.ids, strict=True)]
            assert np.mean(same) >= 9.5
        new = clustered(1, 99)
        near.add(["new"], pack(new), embeddings=new)
        assert near.search(pack(new), 1).ids == [["new"]]
        assert exact.search(pack(new), 1).ids == [["new"]]
        near.delete(["new"])
        assert near.search(pack(new), 5000).ids[0].count("new") == 0
        assert len(near.search(pack(new), 5000).ids[0]) == N


def test_made_with_the_collection(server):
    address = server.new_address()
    options = {"m": 8, "ef_construction": 32, "ef_search": 50}
    with open_collection(address, n_bits=20, index="hnsw", index_options=options) as collection:
        assert collection.info().index == "hnsw"
        assert collection.search(random_codes(2, 20), 3).ids == [[], []]
        collection.add(range(100), random_codes(100, 20))
        assert len(collection.search(random_codes(1, 20), 1000).ids[0]) == 100
    with open_collection(address, index_options={"m": 8}) as again:
        assert again.info().index == "hnsw"
    with pytest.raises(CompatibilityError, match=r"m=8.*m=9"):
        open_collection(address, index="hnsw", index_options={"m": 9})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"index": "ivf"}, "'flat' or 'hnsw'"),
        ({"index": "mih"}, "'flat' or 'hnsw'"),
        ({"index": "flat", "index_options": {"m": 4}}, "no options"),
        ({"index_options": {"m": 4}}, "give index="),
        (
            {"index": "hnsw", "index_options": {"nlist": 4}},
            "nlist.*has the options m, ef_construction",
        ),
        ({"index": "hnsw", "index_options": {"m": 1}}, "m must be a whole number from 2 to 100"),
        ({"index": "hnsw", "index_options": {"m": True}}, "m must be"),
        ({"index": "hnsw", "index_options": {"ef_search": 1001}}, "from 1 to 1000"),
        ({"index": "hnsw", "index_options": {"m": 41}}, "twice m"),
        ({"index": "hnsw", "n_bits": 64_008}, "64000 bits"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "1"}, "timeout"),
    ],
)
def test_other_options_are_refused(server, options, words):
    address = server.new_address()
    with pytest.raises(InvalidInputError, match=words):
        open_collection(address, **{"n_bits": 64, **options})
    with pytest.raises(CollectionError, match="no such collection"):
        open_collection(address)


def test_reading_alone_makes_no_index(server):
    address = server.new_address()
    open_collection(address, n_bits=20).close()
    with pytest.raises(CollectionError, match="mode='r'"):
        open_collection(address, mode="r", index="hnsw")
