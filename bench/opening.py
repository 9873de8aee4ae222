"""Open a large collection again: from its cache, and from SQLite.

    OMP_NUM_THREADS=1 python bench/opening.py --n 10000000

Prints the time from `open_collection` to the first answer, by either way and taking turns, as a
ratio: the file is in the memory of the operating system. Then what of it is spent on what.
"""

from __future__ import annotations

import argparse
import gc
import os
import resource
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

import h2q
from h2q.codes import pack


def first_answer(path: Path, query: np.ndarray) -> float:
    """Seconds to open a collection and search it once."""
    gc.collect()
    start = time.perf_counter()
    with h2q.open_collection(path, mode="r") as collection:
        collection.search(query, 10)
        return time.perf_counter() - start


def fetched(path: Path) -> float:
    """Seconds to read the codes from SQLite and nothing else."""
    gc.collect()
    start = time.perf_counter()
    connection = sqlite3.connect(path)
    cursor = connection.execute("SELECT row, code FROM items")
    while block := cursor.fetchmany(4096):
        np.frombuffer(b"".join(code for _, code in block), np.uint8)
    connection.close()
    return time.perf_counter() - start


def main() -> None:
    """Make a collection, open it again and again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=10_000_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--text-ids", action="store_true", help="ids such as photo/0000001.jpg")
    parser.add_argument("--folder", type=Path, help="where to make it, and to leave it")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((1, options.bits)).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        path = (options.folder or Path(name)) / "bench.h2q"
        with h2q.open_collection(path, n_bits=options.bits) as collection:
            start = time.perf_counter()
            for first in range(len(collection), options.n, 500_000):
                ids = range(first, min(first + 500_000, options.n))
                codes = rng.integers(0, 256, (len(ids), options.bits // 8), dtype=np.uint8)
                texts = [f"photo/{i:07d}.jpg" for i in ids] if options.text_ids else list(ids)
                collection.add(texts, codes)
            adding = time.perf_counter() - start
            start = time.perf_counter()
            collection.optimize()
            saving = time.perf_counter() - start
        cache = Path(f"{path}.cache")
        aside = Path(f"{path}.aside")
        print(
            f"{options.n:,} codes of {options.bits} bits, {os.cpu_count()} cores; the file "
            f"{path.stat().st_size / 1e6:.0f} MB, the cache {cache.stat().st_size / 1e6:.0f} MB; "
            f"making the cache / adding the items {saving / max(adding, 1e-9):.2f}"
        )
        for what, query in (("Hamming", pack(rows)), ("asymmetric", rows)):
            ratios, against_fetch = [], []
            for _ in range(options.rounds):
                with_cache = first_answer(path, query)
                cache.rename(aside)
                without = first_answer(path, query)
                aside.rename(cache)
                ratios.append(with_cache / without)
                against_fetch.append(with_cache / fetched(path))
            print(
                f"{what}: open and first answer with the cache / without "
                f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}); / bare "
                f"fetch of the codes {statistics.median(against_fetch):.3f}",
                flush=True,
            )
    print(
        f"OpenMP threads {faiss.omp_get_max_threads()}, faiss {faiss.__version__}; "
        f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB"
    )


if __name__ == "__main__":
    main()
