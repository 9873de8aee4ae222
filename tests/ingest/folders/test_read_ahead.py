from __future__ import annotations

import threading
import time
from itertools import count

import pytest

from h2q.ingest.read_ahead import read_ahead


def test_order_is_kept() -> None:
    def slow_first(x: int) -> int:
        time.sleep(0.02 if x == 0 else 0)
        return x * x

    assert list(read_ahead(slow_first, range(20), ahead=4, workers=3)) == [x * x for x in range(20)]


def test_no_more_than_asked_is_held() -> None:
    started = count()
    last = 0

    def note(x: int) -> int:
        nonlocal last
        last = max(last, next(started))
        return x

    results = read_ahead(note, range(1000), ahead=5, workers=2)
    assert next(results) == 0
    time.sleep(0.05)
    assert last <= 6
    results.close()


def test_errors_come_at_their_turn() -> None:
    def fail(x: int) -> int:
        if x == 3:
            raise ValueError("three")
        return x

    results = read_ahead(fail, range(10), ahead=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)


def test_threads_end_when_the_caller_stops() -> None:
    before = threading.active_count()
    results = read_ahead(lambda x: x, range(100), ahead=10, workers=4)
    next(results)
    results.close()
    assert threading.active_count() == before
