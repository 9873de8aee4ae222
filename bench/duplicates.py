"""Near-duplicates among many codes: how the time grows, and brute force in the same run.

    OMP_NUM_THREADS=1 python bench/duplicates.py

For each kind of codes and each number of them: the time of `find_groups` over that of the smallest
number, beside the growth of a mere sort of the same codes, and over that of faiss comparing every
pair (`IndexBinaryFlat.range_search`) where that is feasible. Median of several rounds taking turns.

- random: independent bits; hardly a pair is near.
- clustered: signs of 64 correlated coordinates around 1,000 centres, as unsupervised features give
  them, and one in ten a copy of another with up to 3 bits changed.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable

import faiss
import numpy as np
from numpy.typing import NDArray

from h2q.codes import pack
from h2q.duplicates import find_groups
from h2q.duplicates.distinct import DistinctCodes
from h2q.duplicates.plan import make_plan


def random_codes(n: int, n_bits: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Independent bits."""
    return rng.integers(0, 256, (n, n_bits // 8), dtype=np.uint8)


def clustered_codes(n: int, n_bits: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Signs around centres, with unequal variances; one in ten is nearly another."""
    scale = 1 / np.sqrt(np.arange(1, n_bits + 1))
    mixing = np.linalg.qr(rng.normal(size=(n_bits, n_bits)))[0] * scale[:, None]
    centres = rng.normal(size=(1000, n_bits))
    blocks = []
    for start in range(0, n, 50_000):
        size = min(50_000, n - start)
        rows = centres[rng.integers(0, len(centres), size)] + 0.7 * rng.normal(size=(size, n_bits))
        blocks.append(pack((rows @ mixing).astype(np.float32)))
    codes = np.concatenate(blocks)
    copies = rng.choice(n, n // 10, replace=False)
    codes[copies] = codes[rng.integers(0, n, len(copies))]
    for _ in range(3):  # a bit drawn twice is as it was: 0 to 3 bits differ
        some = copies[rng.random(len(copies)) < 0.6]
        bit = rng.integers(0, n_bits, len(some))
        codes[some, bit // 8] ^= (128 >> (bit % 8)).astype(np.uint8)
    return codes


def brute_force(codes: NDArray[np.uint8], radius: int) -> int:
    """Compare every pair with faiss; the number of pairs within the radius."""
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)
    limits, _, _ = index.range_search(codes, radius + 1)  # exclusive
    return (int(limits[-1]) - len(codes)) // 2


def seconds(call: Callable[[], object]) -> float:
    """Time of one call."""
    gc.collect()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(kind: str, make: Callable[..., NDArray[np.uint8]], args: argparse.Namespace) -> None:
    """Print one table."""
    rng = np.random.default_rng(0)
    samples = {n: make(n, args.bits, rng) for n in args.n}
    times: dict[int, list[float]] = {n: [] for n in args.n}
    sorts: dict[int, list[float]] = {n: [] for n in args.n}
    for _ in range(args.rounds):
        for n, codes in samples.items():
            times[n].append(seconds(lambda codes=codes: find_groups(codes, args.bits, args.radius)))
            sorts[n].append(seconds(lambda codes=codes: DistinctCodes.of(codes, args.bits)))
    least = args.n[0]
    print(f"\n{kind}, {args.bits} bits, radius {args.radius}, {args.rounds} rounds")
    print("codes | blocks | keys | pairs found | groups | time / time of the least | "
          "sort: the same | time / sort")  # fmt: skip
    for n, codes in samples.items():
        words = DistinctCodes.of(codes, args.bits).words
        plan = make_plan(words, args.bits, args.radius)
        found = find_groups(codes, args.bits, args.radius)
        ours, sort = statistics.median(times[n]), statistics.median(sorts[n])
        growth = ours / statistics.median(times[least])
        print(
            f"{n:,} | {plan.n_blocks} | {len(plan.keys)} | {found.n_pairs:,} | {len(found):,} | "
            f"{growth:.2f} | {sort / statistics.median(sorts[least]):.2f} | {ours / sort:.1f}"
            f"   ({ours:.2f} s here)",
            flush=True,
        )
        if n <= args.brute:
            pairs = brute_force(codes, args.radius)
            assert pairs == found.n_pairs, (pairs, found.n_pairs)
            rounds = [
                (
                    seconds(lambda codes=codes: brute_force(codes, args.radius)),
                    seconds(lambda codes=codes: find_groups(codes, args.bits, args.radius)),
                )
                for _ in range(min(args.rounds, 3))
            ]
            ratios = [brute / mine for brute, mine in rounds]
            print(f"  faiss range_search / find_groups at {n:,}: {statistics.median(ratios):.1f} "
                  f"({min(ratios):.1f} to {max(ratios):.1f})", flush=True)  # fmt: skip


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, nargs="+", default=[125_000, 250_000, 500_000, 1_000_000])
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--radius", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--brute", type=int, default=125_000, help="compare with faiss up to this")
    args = parser.parse_args()
    faiss.omp_set_num_threads(1)
    measure("random", random_codes, args)
    measure("clustered", clustered_codes, args)


if __name__ == "__main__":
    main()
