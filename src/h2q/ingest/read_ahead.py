"""Prepare items in threads, or in processes, while earlier ones are being used."""

from __future__ import annotations

import os
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple, TypeVar

from h2q._signals import leave_signals_to_the_parent

T = TypeVar("T")
U = TypeVar("U")

#: Items and cores from which on processes repay their start.
MANY_ITEMS: Final = 1024
MANY_CORES: Final = 4
#: Items handed over at a time by a process.
_CHUNK: Final = 16


def read_ahead(
    function: Callable[[T], U],
    items: Iterable[T],
    *,
    ahead: int,
    workers: int | None = None,
    processes: bool = False,
) -> Iterator[U]:
    """Yield `function(item)` in the order of the items, computed up to `ahead` items early.

    Threads suffice where the network runs on the same processors: pillow lets go of the
    interpreter while it decodes and resizes. Beside a GPU they do not: what is left of each
    picture in Python, and the launches of the network's kernels, queue for the one interpreter.
    Memory is bounded by about `ahead` results. When the caller stops, nothing more is started.

    Parameters
    ----------
    function : callable
        Applied in the workers; what it raises is raised here, at that item's turn.
    items : iterable
    ahead : int
        Results kept in hand at most.
    workers : int, optional
        Threads or processes; the number of cores this process may use, at most eight threads or
        sixteen processes, by default.
    processes : bool
        Fork processes instead of threads, where the items are a sequence of many and there are
        some cores; needs torch.
    """
    cores = len(os.sched_getaffinity(0))
    many = isinstance(items, Sequence) and len(items) >= MANY_ITEMS and cores >= MANY_CORES
    if processes and many and isinstance(items, Sequence):
        yield from _in_processes(function, items, ahead, workers or min(16, cores))
        return
    waiting: deque[Future[U]] = deque()
    pool = ThreadPoolExecutor(max_workers=workers or min(8, cores))
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_processes(
    function: Callable[[T], U], items: Sequence[T], ahead: int, workers: int
) -> Iterator[U]:
    from torch.utils.data import DataLoader

    chunks = [range(i, min(i + _CHUNK, len(items))) for i in range(0, len(items), _CHUNK)]
    applied: Any = _Applied(function, items, chunks)  # a data set by its methods
    loader: DataLoader[Any] = DataLoader(
        applied,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=max(2, -(-ahead // (workers * _CHUNK))),
        multiprocessing_context="fork",  # the function may be a closure, and nothing is imported
        worker_init_fn=leave_signals_to_the_parent,
    )
    for text, flat, lengths in loader:
        for result in _unpacked(text, flat, lengths):
            if isinstance(result, _Raised):
                raise result.error
            yield result


class _Raised(NamedTuple):
    """What the function raised, on its way to the caller."""

    error: Exception


class _Applied:
    """The results of a chunk of items, a data set's item: pickled, arrays apart in one tensor."""

    def __init__(
        self, function: Callable[[Any], Any], items: Sequence[Any], chunks: Sequence[range]
    ) -> None:
        self.function, self.items, self.chunks = function, items, chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def __getitem__(self, number: int) -> tuple[bytes, Any, list[int]]:
        import torch

        buffers: list[pickle.PickleBuffer] = []
        results: list[Any] = []
        for i in self.chunks[number]:
            try:
                results.append(self.function(self.items[i]))
            except Exception as error:
                results.append(_Raised(error))
                break
        text = pickle.dumps(results, protocol=5, buffer_callback=buffers.append)
        raw = [buffer.raw() for buffer in buffers]
        # One tensor in shared memory is cheaper to hand over than many, and than a pipe.
        flat = torch.empty(sum(part.nbytes for part in raw), dtype=torch.uint8)
        start = 0
        view = memoryview(flat.numpy().data)
        for part in raw:
            view[start : start + part.nbytes] = part
            start += part.nbytes
        return text, flat, [part.nbytes for part in raw]


def _unpacked(text: bytes, flat: Any, lengths: list[int]) -> list[Any]:
    """Results of our own child processes: the only pickles that are read."""
    view = memoryview(flat.numpy().data)
    ends = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    parts = [view[end - n : end] for end, n in zip(ends, lengths, strict=True)]
    results: list[Any] = pickle.loads(text, buffers=parts)  # noqa: S301 - from our own process
    return results
