"""What a scan finds, and how the work of a batch of queries is shared among threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

#: Queries a thread must have to be worth starting.
_LEAST_SHARE: Final = 16


class Hits(NamedTuple):
    """What one query found, best first.

    `positions` are those of a table (int64); `values` are Hamming distances (int32) or asymmetric
    scores (float32).
    """

    positions: NDArray[np.int64]
    values: NDArray[Any]


def in_threads(search: Callable[[slice], list[Hits]], n_queries: int) -> list[Hits]:
    """Run `search` on slices of the queries, in a few threads of one OpenMP thread each.

    OpenMP's own threads wait for each other by spinning, which loses time on busy cores. As many
    threads are used as OpenMP would use, so `OMP_NUM_THREADS` limits them; a single query has one.
    """
    threads = min(faiss.omp_get_max_threads(), n_queries // _LEAST_SHARE)
    if threads <= 1:
        with _one_openmp_thread():
            return search(slice(0, n_queries))
    bounds = np.linspace(0, n_queries, threads + 1).astype(int).tolist()
    shares = [slice(start, stop) for start, stop in pairwise(bounds)]

    def run(share: slice) -> list[Hits]:
        with _one_openmp_thread():
            return search(share)

    with ThreadPoolExecutor(threads) as pool:
        return [hits for part in pool.map(run, shares) for hits in part]


@contextmanager
def _one_openmp_thread() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
