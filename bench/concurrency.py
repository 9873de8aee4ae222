"""Searches of one embedded collection by several threads, and with a writer at work.

    OMP_NUM_THREADS=1 python bench/concurrency.py --n 500000

Single queries, by the real query and by code. Prints, as ratios measured in turns in one run:

- the searches two threads do in the time in which one does so many;
- the 50th and 99th percentile of the time of a search while a writer adds 1,000 items a second,
  over those without it;
- with `--minutes`, the memory of the process while eight threads search and one writes.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
import threading
import time
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

import h2q
from h2q.codes import pack

_WRITE = 50  # items a call of the writer
_RATE = 1000  # items a second


def searches(
    collection: h2q.collections.Collection, queries: NDArray, seconds: float, threads: int
) -> list[float]:
    """Search in several threads; return the times of all searches."""
    taken: list[list[float]] = [[] for _ in range(threads)]
    start = threading.Barrier(threads)

    def work(number: int) -> None:
        start.wait()
        end = time.perf_counter() + seconds
        place = number
        while (before := time.perf_counter()) < end:
            collection.search(queries[place % len(queries)], 10)
            taken[number].append(time.perf_counter() - before)
            place += threads

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [each for times in taken for each in times]


class Writer:
    """Adds items at a steady rate until the end of a `with` block."""

    def __init__(self, collection: h2q.collections.Collection, width: int, replaced: int) -> None:
        self._collection, self._width = collection, width
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._replaced = replaced
        self.added = 0

    def _work(self) -> None:
        rng = np.random.default_rng(9)
        begun = time.perf_counter()
        while not self._stop.is_set():
            codes = rng.integers(0, 256, (_WRITE, self._width), dtype=np.uint8)
            first = self.added % self._replaced if self._replaced else self.added
            self._collection.add([f"new {first + i}" for i in range(_WRITE)], codes)
            self.added += _WRITE
            self._stop.wait(max(0.0, begun + self.added / _RATE - time.perf_counter()))

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def resident() -> float:
    """Memory of this process in MB."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=500_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each part of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=0.0, help="watch the memory so long")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (options.n, options.bits // 8), dtype=np.uint8)
    rows = rng.standard_normal((256, options.bits)).astype(np.float32)
    print(f"{options.n:,} random codes of {options.bits} bits, k = 10; {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as name:
        collection = h2q.open_collection(f"{name}/bench.h2q", n_bits=options.bits)
        for start in range(0, options.n, 100_000):
            part = codes[start : start + 100_000]
            collection.add(range(start, start + len(part)), part)
        for what, queries in (("asymmetric", rows), ("hamming", pack(rows))):
            searches(collection, queries, 0.5, 2)
            gains, p50, p99, rates = [], [], [], []
            for _ in range(options.rounds):
                one = searches(collection, queries, options.seconds, 1)
                two = searches(collection, queries, options.seconds, 2)
                gains.append(len(two) / len(one))
                with Writer(collection, options.bits // 8, 0) as writer:
                    begun = time.perf_counter()
                    busy = searches(collection, queries, options.seconds, 1)
                    rates.append(writer.added / (time.perf_counter() - begun))
                p50.append(np.percentile(busy, 50) / np.percentile(one, 50))
                p99.append(np.percentile(busy, 99) / np.percentile(one, 99))
            for title, values in (
                ("searches of two threads / of one", gains),
                ("p50 of a search with a writer / without", p50),
                ("p99 of a search with a writer / without", p99),
            ):
                print(
                    f"{what:<11} {title:<42} median {statistics.median(values):5.2f}   "
                    f"({min(values):.2f} to {max(values):.2f})",
                    flush=True,
                )
            print(f"{what:<11} the writer added {statistics.median(rates):,.0f} items a second")
        if options.minutes:
            with Writer(collection, options.bits // 8, 100_000):
                end = time.perf_counter() + 60 * options.minutes
                while time.perf_counter() < end:
                    searches(collection, rows, 10.0, 8)
                    print(f"eight threads and a writer: {resident():6.1f} MB", flush=True)
        collection.close()


if __name__ == "__main__":
    main()
