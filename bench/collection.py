"""The embedded collection against its peers: faiss called directly and bare sqlite3.

    OMP_NUM_THREADS=1 python bench/collection.py --n 1000000 --bits 64

Prints ratios of the time of the collection to that of the peer in the same run, taking turns, the
median of several rounds: absolute times say more about the machine than about the program. Then
how well FastScan's shortlist holds the exact asymmetric top, and what the certificate costs.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

import h2q
from h2q.codes import hamming_distances, pack
from h2q.ranks.fast_scan import FastScan
from h2q.ranks.sign_scores import byte_tables, scores_of_all


def ratio(name: str, ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> None:
    """Print the time of `ours` over that of `peer`, measured in turns."""
    pairs = []
    for _ in range(rounds):
        pairs.append((_seconds(ours), _seconds(peer)))
    ratios = sorted(a / b for a, b in pairs)
    low, high = ratios[0], ratios[-1]
    fastest = min(a for a, _ in pairs) / min(b for _, b in pairs)
    print(
        f"{name:<58} median {statistics.median(ratios):5.2f}   best/best {fastest:5.2f}   "
        f"({low:.2f} to {high:.2f})",
        flush=True,
    )


def _seconds(call: Callable[[], object]) -> float:
    gc.collect()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ingest(folder: Path, codes: NDArray[np.uint8], rounds: int) -> None:
    """Add all codes in one call, against `executemany` of the same rows in one transaction."""
    n, width = codes.shape
    ids = [f"photo/{i:07d}.jpg" for i in range(n)]
    payloads = [{"label": i % 10} for i in range(n)]
    texts = [json.dumps(payload) for payload in payloads]
    count = iter(range(10**6))

    def ours(with_payloads: bool) -> None:
        path = folder / f"ours{next(count)}.h2q"
        with h2q.open_collection(path, n_bits=8 * width) as collection:
            collection.add(ids, codes, payloads if with_payloads else None)
        path.unlink()

    def bare(with_payloads: bool) -> None:
        path = folder / f"bare{next(count)}.db"
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE items (row INTEGER PRIMARY KEY, id UNIQUE, code BLOB, payload TEXT)"
        )
        data = codes.tobytes()
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO items (id, code, payload) VALUES (?, ?, ?)",
            (
                (ids[i], data[i * width : (i + 1) * width], texts[i] if with_payloads else None)
                for i in range(n)
            ),
        )
        connection.execute("COMMIT")
        connection.close()
        path.unlink()

    for with_payloads in (False, True):
        what = "payloads (JSON made by us, ready-made for the peer)" if with_payloads else "codes"
        ratio(
            f"add {what} / executemany",
            lambda flag=with_payloads: ours(flag),
            lambda flag=with_payloads: bare(flag),
            rounds,
        )


def search(path: Path, codes: NDArray[np.uint8], batch: int, rounds: int) -> None:
    """Search the collection, against faiss's own scans of the same codes."""
    bits = 8 * codes.shape[1]
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((batch, bits)).astype(np.float32)
    queries = pack(rows)
    flat = faiss.IndexBinaryFlat(bits)
    flat.add(codes)
    scan = FastScan(codes)
    collection = h2q.open_collection(path)
    collection.search(queries[:1], 1)
    collection.search(rows[:1], 1)

    def one_by_one(call: Callable[[NDArray[np.generic]], object], given: NDArray[np.generic]):
        return lambda: [call(given[i : i + 1]) for i in range(20)]

    for k in (10, 100):
        ratio(
            f"Hamming, one query, k={k} / IndexBinaryFlat",
            one_by_one(lambda q, k=k: collection.search(q, k), queries),
            one_by_one(lambda q, k=k: flat.search(q, k), queries),
            rounds,
        )
        ratio(
            f"Hamming, {batch} queries, k={k} / IndexBinaryFlat",
            lambda k=k: collection.search(queries, k),
            lambda k=k: flat.search(queries, k),
            rounds,
        )
        ratio(
            f"asymmetric, one query, k={k} / IndexBinaryFlat (Hamming)",
            one_by_one(lambda q, k=k: collection.search(q, k), rows),
            lambda k=k: [flat.search(queries[i : i + 1], k) for i in range(20)],
            rounds,
        )
        ratio(
            f"asymmetric, {batch} queries, k={k} / IndexBinaryFlat (Hamming)",
            lambda k=k: collection.search(rows, k),
            lambda k=k: flat.search(queries, k),
            rounds,
        )
    ratio(
        f"asymmetric, {batch} queries, k=10 / ours by Hamming",
        lambda: collection.search(rows, 10),
        lambda: collection.search(queries, 10),
        rounds,
    )
    ratio(
        f"asymmetric, {batch} queries, k=10 / FastScan alone, 84",
        lambda: collection.search(rows, 10),
        lambda: scan.search(rows, 84),
        rounds,
    )
    radius = int(np.sort(hamming_distances(queries[:1], codes)[0])[min(1000, len(codes) - 1)])
    ratio(
        f"within {radius} bits, one query / IndexBinaryFlat.range_search",
        one_by_one(lambda q: collection.within(q, radius), queries),
        one_by_one(lambda q: flat.range_search(q, radius + 1), queries),
        rounds,
    )
    recall(collection, scan, codes, rows)
    collection.close()


def recall(
    collection: h2q.collections.Collection,
    scan: FastScan,
    codes: NDArray[np.uint8],
    rows: NDArray[np.float32],
) -> None:
    """How much of the exact top FastScan finds alone, re-scored, and re-scored with certificate."""
    rows = rows[:50]
    exact = scores_of_all(byte_tables(rows, codes.shape[1]), codes)
    for k in (10, 100):
        truth = np.argsort(-exact, axis=1, kind="stable")[:, :k]
        alone, _ = scan.search(rows, k)
        shortlist, bounds = scan.search(rows, 2 * k + 64)
        scores = np.take_along_axis(exact, shortlist, axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        rescored = np.take_along_axis(shortlist, order, axis=1)
        kth = -np.sort(-scores, axis=1)[:, k - 1]
        found = np.array(collection.search(rows, k).ids)
        proven = (kth > bounds).mean()
        print(f"share of the exact top {k}: FastScan alone {_overlap(alone, truth):.4f}")
        print(f"  its shortlist of {2 * k + 64} re-scored {_overlap(rescored, truth):.4f}")
        print(
            f"  the collection {_overlap(found, truth):.4f}; first shortlist enough: {proven:.0%}"
        )


def _overlap(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    shares = [len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, truth, strict=True)]
    return float(np.mean(shares))


def changes(path: Path, codes: NDArray[np.uint8], rounds: int) -> None:
    """Open, load, follow changes: against loading, and against adding to faiss anew."""
    n, width = codes.shape
    query = codes[:1]

    def fresh() -> None:
        with h2q.open_collection(path, mode="r") as collection:
            collection.search(query, 1)

    def bare() -> None:
        connection = sqlite3.connect(path)
        blobs = connection.execute("SELECT row, code FROM items").fetchall()
        np.frombuffer(b"".join(blob for _, blob in blobs), np.uint8).reshape(-1, width)
        connection.close()

    ratio("open and first search / fetchall of the codes", fresh, bare, rounds)
    with h2q.open_collection(path) as collection:
        collection.search(query, 1)
        count = iter(range(10**6))

        def change() -> None:
            collection.add([f"new {next(count)}"], query)
            collection.delete([f"new {next(count) - 1}"])
            collection.search(query, 1)

        ratio(
            "add one, delete one, search / search", change, lambda: collection.search(query, 1), 5
        )
        half = list(range(0, n, 2))
        seconds = _seconds(lambda: collection.delete(half)) / len(half)
        per_add = _seconds(lambda: collection.add(half, codes[::2])) / len(half)
        print(f"time of one deletion in bulk / one addition in bulk: {seconds / per_add:.2f}")
    print(f"file: {path.stat().st_size / n:.1f} bytes an item with ids 0..n-1 and no payloads")


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--skip-ingest", action="store_true")
    options = parser.parse_args()
    print(
        f"{options.n:,} random codes of {options.bits} bits, {options.batch} queries; "
        f"{os.cpu_count()} cores, OpenMP threads {faiss.omp_get_max_threads()}, "
        f"faiss {faiss.__version__}, SQLite {sqlite3.sqlite_version}"
    )
    codes = np.random.default_rng(0).integers(
        0, 256, (options.n, options.bits // 8), dtype=np.uint8
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "bench.h2q"
        with h2q.open_collection(path, n_bits=options.bits) as collection:
            collection.add(range(options.n), codes)
        search(path, codes, options.batch, options.rounds)
        if not options.skip_ingest:
            ingest(folder, codes, max(3, options.rounds // 2))
        changes(path, codes, 3)


if __name__ == "__main__":
    main()
