from __future__ import annotations

import os
import threading
import time
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from h2q.ingest import read_ahead as module
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


def test_processes_give_what_threads_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY_CORES", 1)
    monkeypatch.setattr(module, "MANY_ITEMS", 10)

    def work(n: int) -> tuple[int, NDArray[np.uint8], int]:
        return n, np.full((n % 3, 5), n, dtype=np.uint8), os.getpid()

    found = list(read_ahead(work, range(75), ahead=20, workers=2, processes=True))
    assert [n for n, _, _ in found] == list(range(75))
    for n, array, _ in found:
        assert array.shape == (n % 3, 5)
        assert (array == n).all()
    assert os.getpid() not in {process for _, _, process in found}
    few = list(read_ahead(work, range(9), ahead=20, workers=2, processes=True))
    assert {process for _, _, process in few} == {os.getpid()}


def test_what_a_process_raises_is_raised_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY_CORES", 1)
    monkeypatch.setattr(module, "MANY_ITEMS", 10)

    def fail(n: int) -> int:
        if n == 20:
            raise ValueError("at twenty")
        return n

    results = read_ahead(fail, range(40), ahead=8, workers=2, processes=True)
    assert [next(results) for _ in range(20)] == list(range(20))
    with pytest.raises(ValueError, match="at twenty"):
        next(results)
