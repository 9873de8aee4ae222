"""The collection on a Milvus server against the bare client, pymilvus, doing the same work.

    OMP_NUM_THREADS=1 PYTHONPATH=. python bench/servers_milvus.py --n 100000

Starts a server of its own (the package `milvus`; as root, in a network namespace) and ends it.
Prints ratios of our time to that of the bare client in the same run, taking turns: the median of
several rounds, and their range. Then the time of re-ranking a shortlist over that of the query
that finds it, and the recall of the indexes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient
from tests.collections.milvus.server import MilvusServer

import h2q
from _turns import ratio
from h2q.codes import pack
from h2q.collections.inputs import as_queries
from h2q.collections.milvus.collection import MilvusCollection
from h2q.collections.milvus.searching import Search, first_limit
from h2q.ranks import rank_named

Codes = NDArray[np.uint8]
_STEP = 10_000


class Bare:
    """What one would write with pymilvus: the same fields, without h2q."""

    def __init__(self, server: MilvusServer, bits: int, name: str = "peer") -> None:
        self.client = MilvusClient(f"http://{server.address}")
        self.name = name
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=65_535)
        schema.add_field("seq", DataType.INT64)
        schema.add_field("code", DataType.BINARY_VECTOR, dim=bits)
        schema.add_field("payload", DataType.JSON)
        schema.add_field("raw", DataType.VARCHAR, max_length=65_535)
        index = self.client.prepare_index_params()
        index.add_index("code", index_type="BIN_FLAT", metric_type="HAMMING")
        self.client.create_collection(
            name, schema=schema, index_params=index, consistency_level="Strong", num_shards=1
        )

    def upsert(self, ids: list[str], codes: Codes, payloads: list[Any]) -> None:
        """Send items as one request."""
        start = time.time_ns()
        rows = [
            {
                "id": f"s{item_id}",
                "seq": start + i,
                "code": code.tobytes(),
                "payload": {} if payload is None else payload,
                "raw": "null" if payload is None else "",
            }
            for i, (item_id, code, payload) in enumerate(zip(ids, codes, payloads, strict=True))
        ]
        self.client.upsert(self.name, rows)

    def search(self, name: str, codes: Codes, limit: int, fields: list[str]) -> list[list[Any]]:
        """Search as one request."""
        found = self.client.search(
            name,
            data=[code.tobytes() for code in codes],
            anns_field="code",
            limit=limit,
            output_fields=fields,
            search_params={"metric_type": "HAMMING"},
            consistency_level="Strong",
        )
        return [[(hit["id"], hit["distance"]) for hit in hits] for hits in found]


def address(server: MilvusServer, name: str) -> str:
    """Make the address of a collection."""
    return f"milvus://{server.address}/{name}"


def fill(collection: Any, codes: Codes, **options: Any) -> None:
    """Add codes in batches; their ids are their row numbers."""
    for start in range(0, len(codes), _STEP):
        part = slice(start, start + _STEP)
        given = {name: value[part] for name, value in options.items()}
        collection.add(range(len(codes))[part], codes[part], **given)


def ingest(server: MilvusServer, codes: Codes, rounds: int) -> None:
    """Batches of 10,000, new ones first and then the same again."""
    bits = 8 * codes.shape[1]
    bare = Bare(server, bits)
    ids = [f"photo/{i:07d}.jpg" for i in range(len(codes))]
    parts = [slice(start, start + _STEP) for start in range(0, len(codes), _STEP)]
    with h2q.open_collection(address(server, "ours"), n_bits=bits, timeout=120) as collection:
        for what, payloads in (
            ("codes", [None] * len(ids)),
            ("codes and payloads", [{"label": i % 10, "path": f"{i}"} for i in range(len(ids))]),
        ):

            def ours(given: list[Any] = payloads) -> None:
                for part in parts:
                    collection.add(ids[part], codes[part], given[part])

            def peer(given: list[Any] = payloads) -> None:
                for part in parts:
                    bare.upsert(ids[part], codes[part], given[part])

            ratio(f"add {what} / upsert", ours, peer, rounds)
    bare.client.drop_collection("peer")
    bare.client.drop_collection("ours")


def search(server: MilvusServer, codes: Codes, batch: int, rounds: int) -> None:
    """Exact searches of the same collection."""
    bits = 8 * codes.shape[1]
    bare = Bare(server, bits, "unused")
    queries = pack(np.random.default_rng(1).standard_normal((batch, bits)))
    with h2q.open_collection(address(server, "held"), n_bits=bits, timeout=120) as collection:
        fill(collection, codes)
        for k in (10, 100):
            for size, asked in (("1 query", queries[:1]), (f"{batch} queries", queries)):
                times = 20 if len(asked) == 1 else 1

                def ours(k: int = k, asked: Codes = asked, times: int = times) -> None:
                    for _ in range(times):
                        collection.search(asked, k)

                def alike(k: int = k, asked: Codes = asked, times: int = times) -> None:
                    for _ in range(times):
                        bare.search("held", asked, first_limit(k), ["seq"])

                def plain(k: int = k, asked: Codes = asked, times: int = times) -> None:
                    for _ in range(times):
                        bare.search("held", asked, k, [])

                ratio(f"Hamming, {size}, k={k} / the same request", ours, alike, rounds)
                ratio(f"Hamming, {size}, k={k} / top k, ties in any order", ours, plain, rounds)


def reranking(server: MilvusServer, codes: Codes, batch: int) -> None:
    """Time of ranking a shortlist of 1,000 over the time of the query that finds it."""
    bits, rng = 8 * codes.shape[1], np.random.default_rng(2)
    for keep, ranks in (
        ("codes", ("asymmetric",)),
        ("int8", ("calibrated", "embedding", "cosine")),
    ):
        rows = np.where(np.unpackbits(codes, axis=1) > 0, 1, -1) * rng.uniform(
            0.1, 1.5, (len(codes), bits)
        )
        options: dict[str, Any] = {"n_bits": bits, "keep": keep, "timeout": 120}
        with h2q.open_collection(address(server, f"kept_{keep}"), **options) as collection:
            assert isinstance(collection, MilvusCollection)
            fill(collection, codes, embeddings=rows)
            queries = as_queries(rng.standard_normal((batch, bits)), bits, None)
            for rank in ranks:
                shares = [
                    _share(
                        collection,
                        type(queries)(queries.codes[i : i + 1], queries.rows[i:][:1]),
                        rank,
                    )
                    for i in range(batch)
                ]
                print(
                    f"re-rank 1,000 by {rank:<11} / the query that finds them "
                    f"{'':<14} median {statistics.median(shares):6.3f}   "
                    f"({min(shares):.3f} to {max(shares):.3f})",
                    flush=True,
                )


def _share(collection: MilvusCollection, query: Any, rank: Any) -> float:
    """Time spent outside the server's search over the time spent in it."""
    inside = 0.0
    original = Search.nearest

    def timed(self: Search, *arguments: Any) -> Any:
        nonlocal inside
        start = time.perf_counter()
        try:
            return original(self, *arguments)
        finally:
            inside += time.perf_counter() - start

    Search.nearest = timed  # type: ignore[method-assign]
    try:
        start = time.perf_counter()
        collection._search(query, rank_named(rank), 10, None, None)
        total = time.perf_counter() - start
    finally:
        Search.nearest = original  # type: ignore[method-assign]
    assert rank_named(rank).needs_records or rank == "asymmetric"
    return (total - inside) / inside


def recall(server: MilvusServer, codes: Codes, batch: int) -> None:
    """Share of the exact nearest distances an index finds, and its time over the scan's."""
    bits, rng = 8 * codes.shape[1], np.random.default_rng(3)
    centres = rng.standard_normal((200, bits))
    clustered = pack(
        centres[rng.integers(0, 200, len(codes))] + 0.7 * rng.standard_normal((len(codes), bits))
    )
    queries = pack(centres[rng.integers(0, 200, batch)] + 0.7 * rng.standard_normal((batch, bits)))
    client = MilvusClient(f"http://{server.address}")
    with h2q.open_collection(address(server, "by_flat"), n_bits=bits, timeout=120) as exact:
        fill(exact, clustered)
        client.flush("by_flat")
        settle(client, "by_flat", len(codes))
        truth = exact.search(queries, 10).distances
        for index, build, searches in (
            ("ivf", {"nlist": 256}, [{"nprobe": 4}, {"nprobe": 16}, {"nprobe": 64}]),
            ("hnsw", {"m": 16}, [{"ef_search": 128}, {"ef_search": 512}]),
        ):
            name = address(server, f"by_{index}")
            with h2q.open_collection(
                name, n_bits=bits, index=index, index_options=build, timeout=120
            ) as made:
                fill(made, clustered)
            client.flush(f"by_{index}")
            settle(client, f"by_{index}", len(codes))
            for options in searches:
                with h2q.open_collection(name, index_options=options, timeout=120) as near:
                    found = near.search(queries, 10).distances
                    share = np.mean(
                        [np.mean(a <= b.max()) for a, b in zip(found, truth, strict=True)]
                    )
                    inside = near.within(queries, 12).ids
                    all_inside = exact.within(queries, 12).ids
                    of = sum(map(len, all_inside))
                    ratio(
                        f"{index}, {json.dumps(options)}: recall@10 {share:.3f}, "
                        f"within 12: {sum(map(len, inside))}/{of}; / flat",
                        lambda near=near: near.search(queries, 10),
                        lambda: exact.search(queries, 10),
                        3,
                    )


def settle(client: MilvusClient, name: str, n: int) -> None:
    """Wait until the index is built and the server searches by it."""
    while client.describe_index(name, "code").get("indexed_rows", 0) < n:
        time.sleep(0.5)
    time.sleep(15)  # the hand-over to the node that searches is not announced


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=["ingest", "search", "reranking", "recall"])
    options = parser.parse_args()
    shape = (options.n, options.bits // 8)
    codes = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    parts = options.only or ["ingest", "search", "reranking", "recall"]
    server = MilvusServer(Path(tempfile.mkdtemp(prefix="h2q-milvus-")))
    server.start()
    with server.running():
        if "ingest" in parts:
            ingest(server, codes, options.rounds)
        if "search" in parts:
            search(server, codes, options.batch, options.rounds)
        if "reranking" in parts:
            reranking(server, codes, options.batch)
        if "recall" in parts:
            recall(server, codes, options.batch)


if __name__ == "__main__":
    main()
