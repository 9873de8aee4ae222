"""The indexes of the embedded collection: what they find, and their time against the scan.

    OMP_NUM_THREADS=1 python bench/indexes.py --n 200000 --index ivf hnsw mih

Recall is the share of the answers that are as near as the true 10th (ties count as found). Times
are ratios to the exact scan of the same collection in the same run, taking turns, the median.
"clustered" codes are those of Gaussian clusters (n / 100 of them), as embeddings of photos have;
"random" ones are uniform: the worst case, for which no index is made.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

import h2q
from h2q.codes import hamming_distances, pack

SEARCHED_WITH = {
    "ivf": [{"nprobe": 8}, {}, {"nprobe": 200}],
    "hnsw": [{"ef_search": 32}, {}, {"ef_search": 512}],
}


def rows_of(kind: str, n: int, bits: int, clusters: int, seed: int) -> np.ndarray:
    """Rows whose signs are the codes."""
    rng = np.random.default_rng(seed)
    if kind == "random":
        return rng.standard_normal((n, bits)).astype(np.float32)
    centres = np.random.default_rng(99).standard_normal((clusters, bits)).astype(np.float32)
    noise = 0.7 * rng.standard_normal((n, bits)).astype(np.float32)
    return centres[rng.integers(0, clusters, n)] + noise


def seconds(call: Callable[[], object]) -> float:
    """Time of one call."""
    gc.collect()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ratio(ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> str:
    """Median ratio of the times, measured in turns, and its range."""
    ours()
    ratios = sorted(seconds(ours) / seconds(peer) for _ in range(rounds))
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def measure(kind: str, index: str, options: argparse.Namespace) -> None:
    """Print the figures of one index for one kind of codes."""
    clusters = max(1, options.n // 100)
    codes = pack(rows_of(kind, options.n, options.bits, clusters, 0))
    rows = rows_of(kind, options.queries, options.bits, clusters, 1)
    queries = pack(rows)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bench.h2q"
        with h2q.open_collection(path, n_bits=options.bits, index=index) as made:
            adding = seconds(lambda: made.add(range(options.n), codes))
            building = seconds(made.optimize)
        beside = Path(f"{path}.index").stat().st_size / options.n
        print(
            f"{kind} {index}: making it / adding the items {building / adding:.1f}; "
            f"{beside:.0f} bytes an item beside the file",
            flush=True,
        )
        flat = h2q.open_collection(path, index="flat", mode="r")
        if index == "mih":
            made = h2q.open_collection(path, mode="r")
            for radius in (0, 2, 4, 6, 8, 12):
                time_ratio = ratio(
                    lambda r=radius: made.within(queries, r),
                    lambda r=radius: flat.within(queries, r),
                    options.rounds,
                )
                print(f"  within {radius}: time / scan {time_ratio}")
            return
        kth = np.sort(hamming_distances(queries, codes), axis=1)[:, 9]
        exact = [set(ids) for ids in flat.search(rows, 10).ids]
        for searched_with in SEARCHED_WITH[index]:
            made = h2q.open_collection(path, mode="r", index_options=searched_with)
            found = made.search(queries, 10)
            share = np.mean([d <= bound for d, bound in zip(found.distances, kth, strict=True)])
            asymmetric = made.search(rows, 10).ids
            same = np.mean([len(a & set(b)) / 10 for a, b in zip(exact, asymmetric, strict=True)])
            time_ratio = ratio(
                lambda made=made: made.search(queries, 10),
                lambda: flat.search(queries, 10),
                options.rounds,
            )
            asymmetric_ratio = ratio(
                lambda made=made: made.search(rows, 10),
                lambda: flat.search(rows, 10),
                options.rounds,
            )
            print(
                f"  {searched_with or 'default'}: Hamming recall@10 {share:.3f}, time / scan "
                f"{time_ratio}; asymmetric, shortlist of 100: share of the exact top 10 "
                f"{same:.3f}, time / scan {asymmetric_ratio}",
                flush=True,
            )


def main() -> None:
    """Run all that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--index", nargs="+", default=["ivf", "hnsw", "mih"])
    parser.add_argument("--codes", nargs="+", default=["clustered", "random"])
    options = parser.parse_args()
    print(
        f"{options.n:,} codes of {options.bits} bits, {options.queries} queries; "
        f"{os.cpu_count()} cores, OpenMP threads {faiss.omp_get_max_threads()}, "
        f"faiss {faiss.__version__}"
    )
    for index in options.index:
        for kind in options.codes:
            measure(kind, index, options)


if __name__ == "__main__":
    main()
