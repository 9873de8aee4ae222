"""What fitting costs as rows grow: time as a ratio, memory above the input.

Fits 50,000 and 1,000,000 rows of 64 columns in one run, the cases interleaved, and prints for each
quantizer the ratio of the median times; then fits the million rows in a process of its own, from
memory and from a memory-mapped file, and prints the peak resident memory above that of the input.

    python bench/fit_scale.py
    python bench/fit_scale.py --rows 200000 --repeats 1
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from _memory import peak_bytes
from h2q import HouseholderQuantizer, ITQQuantizer, SignQuantizer

COLUMNS, BASE_ROWS = 64, 50_000
CASES = {
    "householder 64 bits": lambda: HouseholderQuantizer(random_state=0),
    "householder 32 bits": lambda: HouseholderQuantizer(32, random_state=0),
    "itq 64 bits": lambda: ITQQuantizer(random_state=0),
    "sign 32 bits": lambda: SignQuantizer(32),
}


def make_rows(n: int) -> np.ndarray:
    """Correlated heavy-tailed rows: like embeddings, not round."""
    rng = np.random.default_rng(0)
    mixing = (rng.standard_normal((COLUMNS, COLUMNS)) / np.sqrt(COLUMNS)).astype(np.float32)
    rows = np.empty((n, COLUMNS), dtype=np.float32)
    for start in range(0, n, BASE_ROWS):
        stop = min(n, start + BASE_ROWS)
        noise = rng.standard_exponential((stop - start, COLUMNS), dtype=np.float32) - 1
        rows[start:stop] = noise @ mixing
    return rows


def ratios(n: int, repeats: int) -> None:
    """Print median seconds at both sizes and their ratio."""
    large = make_rows(n)
    small = large[:BASE_ROWS].copy()
    times: dict[tuple[str, int], list[float]] = {}
    for _ in range(repeats):
        for name, make in CASES.items():
            for rows in (small, large):
                start = time.process_time()
                make().fit(rows)
                times.setdefault((name, len(rows)), []).append(time.process_time() - start)
    print(f"CPU time of fit, median of {repeats}, {n:,} rows over {BASE_ROWS:,} rows")
    for name in CASES:
        few, many = (statistics.median(times[name, size]) for size in (BASE_ROWS, n))
        print(f"  {name:22} {many / few:5.2f} x   ({few:.2f} s and {many:.2f} s here)")


def peak(case: str, path: str, mapped: bool) -> None:
    """Fit in this process; print the peak above what was resident before, in MiB."""
    rows = np.load(path, mmap_mode="r") if mapped else np.load(path)
    CASES[case]().fit(make_rows(1000))  # imports and thread pools are not the fit's memory
    before = psutil.Process().memory_info().rss
    CASES[case]().fit(rows)
    grown = peak_bytes() - before
    # Pages of the file that were read stay resident while there is room: they are the input.
    print(f"{(grown - (rows.nbytes if mapped else 0)) / 2**20:.0f}")


def memory(n: int) -> None:
    """Print the peak memory above the input, each case in a fresh process."""
    print(f"peak resident memory above an input of {n:,} rows, MiB")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npy"
        np.save(path, make_rows(n))
        for case in CASES:
            found = [
                subprocess.run(
                    [sys.executable, __file__, "--peak", case, str(path), kind],
                    check=True,
                    capture_output=True,
                    text=True,
                ).stdout.strip()
                for kind in ("memory", "mapped")
            ]
            print(f"  {case:22} in memory {found[0]:>5}   memory-mapped {found[1]:>5}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        case, path, kind = arguments.peak
        peak(case, path, mapped=kind == "mapped")
        return
    ratios(arguments.rows, arguments.repeats)
    memory(arguments.rows)


if __name__ == "__main__":
    main()
