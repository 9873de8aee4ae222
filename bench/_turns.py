"""Two calls timed in turns, so that what else the machine does falls on both."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable


def ratio(
    name: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> None:
    """Print the time of `ours` over that of `peer`, measured in turns.

    `time.process_time` as `clock` tells less of what else a busy machine does.
    """
    pairs = []
    for number in range(rounds):
        calls = (ours, peer) if number % 2 else (peer, ours)
        times = [_seconds(call, clock) for call in calls]
        pairs.append(times if number % 2 else times[::-1])
    ratios = sorted(a / b for a, b in pairs)
    fastest = min(a for a, _ in pairs) / min(b for _, b in pairs)
    print(
        f"{name:<62} median {statistics.median(ratios):5.2f}   best/best {fastest:5.2f}   "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f})",
        flush=True,
    )


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    gc.collect()
    start = clock()
    call()
    return clock() - start
