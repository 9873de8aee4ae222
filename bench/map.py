"""How long the map of a collection takes, by its parts: PCA, t-SNE of landmarks, placing the rest.

    OMP_NUM_THREADS=2 python bench/map.py many.h2q --n 10000 100000

Wall-clock seconds and CPU seconds of all threads, on the codes of a collection; of how well the map
keeps neighbours, the share of the 10 nearest codes that are among the 50 nearest on the map, of 500
items drawn at random, the landmarks' own aside.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

import h2q
from h2q.serving.mapping import METHODS, Method, coordinates


def timed(function: Callable[[], NDArray[np.float32]]) -> tuple[NDArray[np.float32], float, float]:
    """Return what a call gives, its wall-clock and its CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = function()
    return found, time.perf_counter() - wall, time.process_time() - cpu


def kept(codes: NDArray[np.uint8], places: NDArray[np.float32]) -> float:
    """Return the share of near codes that are near on the map."""
    rng = np.random.default_rng(0)
    chosen = rng.choice(len(codes), min(500, len(codes)), replace=False)
    index = faiss.IndexBinaryFlat(codes.shape[1] * 8)
    index.add(codes)
    near = index.search(codes[chosen], 11)[1]
    flat = faiss.IndexFlatL2(2)
    flat.add(places)
    shown = flat.search(places[chosen], 51)[1]
    shares = [
        np.isin(a[a != item][:10], b[b != item]).mean()
        for item, a, b in zip(chosen, near, shown, strict=True)
    ]
    return float(np.mean(shares))


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--n", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    args = parser.parse_args()
    with h2q.open_collection(args.collection, mode="r") as collection:
        codes = np.concatenate([batch.codes for batch in collection.iterate(20_000)])
        n_bits = collection.n_bits
    for n in args.n:
        for name in args.methods:
            method: Method = name
            part = np.ascontiguousarray(codes[:n])
            places, wall, cpu = timed(
                lambda part=part, method=method: coordinates(part, n_bits, method)
            )
            print(
                f"{len(part):>8,} items   {method:<8} {wall:7.2f} s   {cpu:7.2f} s of CPU   "
                f"neighbours kept {kept(part, places):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
