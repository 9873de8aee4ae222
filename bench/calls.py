"""The small calls of an embedded collection, against another version of h2q in the same run.

    git worktree add ../before 5cf8afa
    OMP_NUM_THREADS=1 python bench/calls.py --against ../before/src --folder /dev/shm

Each round runs a process of either version, in turns. Prints the CPU time of a call over that of
the other version, the median and the range over the rounds, and the same of the wall time. The
collection has 20,000 codes of 64 bits. In a `--folder` in memory the disk, and what waits for it,
is left out: only wall time on a disk tells that.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def measure(folder: Path) -> dict[str, tuple[float, float]]:
    """Return CPU and wall time of a call, in microseconds."""
    import h2q
    from h2q.codes import pack

    path = folder / "bench.h2q"
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (20_000, 8), dtype=np.uint8)
    rows = rng.standard_normal((64, 64)).astype(np.float32)
    with h2q.open_collection(path, n_bits=64) as collection:
        collection.add(range(20_000), codes)
    taken: dict[str, tuple[float, float]] = {}

    def timed(name: str, call: Callable[[int], object], n: int) -> None:
        call(0)
        wall, cpu = time.perf_counter(), time.process_time()
        for number in range(1, n + 1):
            call(number)
        taken[name] = (
            1e6 * (time.process_time() - cpu) / n,
            1e6 * (time.perf_counter() - wall) / n,
        )

    def searched(_: int) -> None:
        with h2q.open_collection(path, mode="r") as opened:
            opened.search(rows[0], 10)

    timed("open and close", lambda _: h2q.open_collection(path).close(), 60)
    timed("open and close, mode r", lambda _: h2q.open_collection(path, mode="r").close(), 60)
    timed("open, search once, close", searched, 20)
    with h2q.open_collection(path) as opened:
        timed("add one item", lambda i: opened.add([30_000 + i], codes[:1]), 200)
        timed(
            "add 100 items",
            lambda i: opened.add(range(40_000 + 100 * i, 40_100 + 100 * i), codes[:100]),
            40,
        )
        timed("delete one item", lambda i: opened.delete([30_000 + i]), 150)
        timed("get one item", lambda i: opened.get([i]), 200)
        timed("search, a real query", lambda i: opened.search(rows[i % 64], 10), 200)
        coded = pack(rows)
        timed("search, a code", lambda i: opened.search(coded[i % 64], 10), 200)
        timed("search, 64 real queries", lambda _: opened.search(rows, 10), 15)
    return taken


def main() -> None:
    """Run both versions in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="the other version's folder src")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--alone", action="store_true", help="measure this version, print JSON")
    options = parser.parse_args()
    if options.alone:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            print(json.dumps(measure(Path(name))))
        return
    if options.against is None:
        parser.error("--against is needed")
    ours = Path(__file__).resolve().parents[1] / "src"
    runs: dict[Path, list[dict[str, list[float]]]] = {ours: [], options.against.resolve(): []}
    command = [sys.executable, __file__, "--alone", "--folder", str(options.folder)]
    for number in range(options.rounds):
        for source in list(runs)[:: 1 if number % 2 else -1]:
            done = subprocess.run(
                command,
                env={**os.environ, "PYTHONPATH": str(source)},
                capture_output=True,
                text=True,
                check=True,
            )
            runs[source].append(json.loads(done.stdout))
    after, before = runs.values()
    for name in after[0]:
        cpu, wall = (
            [a[name][which] / b[name][which] for a, b in zip(after, before, strict=True)]
            for which in (0, 1)
        )
        print(
            f"{name:<26} CPU {statistics.median(cpu):.2f} ({min(cpu):.2f} to {max(cpu):.2f})   "
            f"wall {statistics.median(wall):.2f}"
        )


if __name__ == "__main__":
    main()
