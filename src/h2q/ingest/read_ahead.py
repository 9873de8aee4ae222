"""Prepare items in threads while earlier ones are being used."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")


def read_ahead(
    function: Callable[[T], U], items: Iterable[T], *, ahead: int, workers: int | None = None
) -> Iterator[U]:
    """Yield `function(item)` in the order of the items, computed up to `ahead` items early.

    Threads suffice for pictures: pillow and torch let go of the interpreter while they work.
    Memory is bounded by `ahead` results. When the caller stops, nothing more is started.

    Parameters
    ----------
    function : callable
        Applied in worker threads; what it raises is raised here, at that item's turn.
    items : iterable
    ahead : int
        Results kept in hand at most.
    workers : int, optional
        Threads; the number of cores this process may use, at most eight, by default.
    """
    if workers is None:
        workers = min(8, len(os.sched_getaffinity(0)))
    waiting: deque[Future[U]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers)
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
