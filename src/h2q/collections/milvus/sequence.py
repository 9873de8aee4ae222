"""Numbers in the order of adding: the clock in nanoseconds, never the same twice.

Milvus gives its rows no order a query could ask for, so each row has a number of its own. One
process counts strictly upwards, whatever its clock does meanwhile. Several writers agree on the
order as well as their clocks agree; nothing but the order of equal items depends on it.
"""

from __future__ import annotations

import threading
import time

_lock = threading.Lock()
_last = 0


def next_numbers(count: int) -> int:
    """Return the first of `count` consecutive numbers that were given to nobody before."""
    global _last
    with _lock:
        first = max(_last + 1, time.time_ns())
        _last = first + count - 1
    return first
