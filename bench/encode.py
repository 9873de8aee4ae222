"""Coding rows against the bare chain: product, sign, pack; and against faiss's LSH.

    python bench/encode.py
    python bench/encode.py --rows 200000 --columns 384 --bits 128 --module torch

Both sides take the same float32 rows in memory, in turns, on one core. The bare chain checks
nothing and centres nothing. A ratio above 1 means that h2q is faster.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np

from h2q import RandomRotationQuantizer


def bare_numpy(rows: Any, matrix: Any) -> object:
    """Product, sign, pack."""
    return np.packbits((rows @ matrix) > 0, axis=1)


def bare_torch(rows: Any, matrix: Any) -> object:
    """Product, sign, pack."""
    import torch

    bits = ((rows @ matrix) > 0).view(torch.uint8).view(len(rows), -1, 8)
    weights = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8)
    return (bits * weights).sum(2, dtype=torch.uint8)


def seconds(call: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(n: int, d: int, k: int, module: str, rounds: int) -> None:
    """Print the ratios of one size."""
    rng = np.random.default_rng(0)
    rows: Any = rng.standard_normal((n, d), dtype=np.float32)
    quantizer = RandomRotationQuantizer(k, random_state=0).fit(rows[:20_000])
    matrix: Any = rng.standard_normal((d, k), dtype=np.float32)
    peers: dict[str, Callable[[], object]] = {}
    if module == "torch":
        import torch

        torch.set_num_threads(1)
        rows, matrix = torch.from_numpy(rows), torch.from_numpy(matrix)
        peers["product, sign, pack"] = lambda: bare_torch(rows, matrix)
    else:
        peers["product, sign, pack"] = lambda: bare_numpy(rows, matrix)
        lsh = faiss.IndexLSH(d, k, True)
        lsh.train(rows[:20_000])
        peers["faiss IndexLSH.sa_encode"] = lambda: lsh.sa_encode(rows)
    for name, peer in peers.items():
        pairs = [(seconds(lambda: quantizer.transform(rows)), seconds(peer)) for _ in range(rounds)]
        ratios = sorted(theirs / ours for ours, theirs in pairs)
        print(
            f"{module:<6} {n:>8} x {d} to {k} bits, {name:<26} {statistics.median(ratios):5.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f})",
            flush=True,
        )


def main() -> None:
    """Measure the sizes asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int)
    parser.add_argument("--columns", type=int)
    parser.add_argument("--bits", type=int)
    parser.add_argument("--module", choices=["numpy", "torch"])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    sizes = [(1_000_000, 64, 64), (200_000, 384, 128)]
    if options.rows:
        sizes = [(options.rows, options.columns, options.bits)]
    for module in [options.module] if options.module else ["numpy", "torch"]:
        for n, d, k in sizes:
            measure(n, d, k, module, options.rounds)


if __name__ == "__main__":
    main()
