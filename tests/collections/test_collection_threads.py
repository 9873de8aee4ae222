"""Searches of one object side by side, with a writer at work, and in a forked process."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2q import open_collection
from h2q.codes import pack
from h2q.collections.embedded import indexes, scans

GROUP = 40


def in_threads(*calls: Any) -> None:
    """Run calls at once; what one of them raises is raised."""
    errors: list[BaseException] = []

    def run(call: Any) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("index", ["flat", "mih", "hnsw"])
def test_no_search_sees_half_a_write(tmp_path: Path, monkeypatch, index: str):
    """Groups of items are written and deleted whole, while four threads look in every way."""
    monkeypatch.setattr(scans, "_LEAST_SCANNED", 200)
    monkeypatch.setattr(indexes, "LEAST_INDEXED", 300)
    everything, ones = np.zeros(4, np.uint8), np.ones(32, np.float32)
    rng = np.random.default_rng(0)
    done = threading.Event()
    with open_collection(tmp_path / "c.h2q", n_bits=32, index=index, keep="int8") as items:

        def put(first: int) -> None:
            rows = rng.standard_normal((GROUP, 32)).astype(np.float32)
            ids = range(first, first + GROUP)
            payloads = [{"odd": i // GROUP % 2 == 1} for i in ids]
            items.add(ids, pack(rows), payloads, embeddings=rows)

        for group in range(12):
            put(group * GROUP)

        def write() -> None:
            try:
                for step in range(60):
                    put(int(rng.integers(30)) * GROUP)
                    if step % 3 == 2:
                        first = int(rng.integers(30)) * GROUP
                        items.delete(range(first, first + GROUP))
            finally:
                done.set()

        def look(search: Any) -> Any:
            def call() -> None:
                times = 0
                while not done.is_set() or times < 5:
                    found = np.array(search(), int)
                    groups, counts = np.unique(found // GROUP, return_counts=True)
                    assert (counts == GROUP).all(), (groups, counts)
                    assert len(set(found.tolist())) == len(found)
                    times += 1

            return call

        in_threads(
            write,
            look(lambda: items.within(everything, 32).ids[0]),
            look(lambda: items.search(ones, 100_000).ids[0]),
            look(lambda: items.search(ones, 100_000, {"odd": True}).ids[0]),
            look(lambda: items.search(ones, 100_000, rank="cosine").ids[0]),
        )
        items.check()
        # And in the end all of them say the same as the file.
        held = set(items)
        assert set(items.search(ones, 100_000).ids[0]) == held
        odd = {i for i in held if i // GROUP % 2 == 1}
        assert set(items.search(ones, 100_000, {"odd": True}).ids[0]) == odd


def test_a_search_goes_on_while_another_thread_is_long_in_a_call(tmp_path: Path):
    """A thread that reads, and one that writes, hold no lock that a search waits for."""
    codes = np.random.default_rng(0).integers(0, 256, (1000, 2), dtype=np.uint8)
    with open_collection(tmp_path / "c.h2q", n_bits=16) as items:
        items.add(range(1000), codes, [{"n": i} for i in range(1000)])
        items.search(codes[:1], 1)
        inside, go = threading.Event(), threading.Event()

        def hold(context: Any) -> Any:
            def call() -> None:
                with context():
                    inside.set()
                    assert go.wait(20)

            return call

        for context in (items._snapshot, items._transaction):
            inside.clear(), go.clear()
            holder = threading.Thread(target=hold(context))
            holder.start()
            assert inside.wait(10)
            try:
                started = time.monotonic()
                assert len(items.search(codes[:1], 5).ids[0]) == 5
                assert items.within(codes[:1], 0).ids[0]
                assert len(items) == 1000
                assert items.get([3])[0] is not None
                assert time.monotonic() - started < 10
            finally:
                go.set()
                holder.join()


def test_searches_of_an_index_with_different_settings_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(indexes, "LEAST_INDEXED", 100)
    monkeypatch.setattr(indexes, "_LOOK_UP", 0.0)
    monkeypatch.setattr(indexes, "_CANDIDATE", 0.0)
    codes = np.random.default_rng(0).integers(0, 256, (2000, 4), dtype=np.uint8)
    with open_collection(tmp_path / "c.h2q", n_bits=32, index="mih") as items:
        items.add(range(2000), codes)
        expected = {radius: items.within(codes[:3], radius).ids for radius in range(12)}

        def look(radius: int) -> Any:
            def call() -> None:
                for _ in range(20):
                    assert items.within(codes[:3], radius).ids == expected[radius]

            return call

        in_threads(*(look(radius) for radius in range(0, 12, 2)))


def _search_in_a_child(items: Any, rows: np.ndarray, expected: list[Any], answer: Any) -> None:
    try:
        same = items.search(rows, 3).ids == expected
        items.add(["by the child"], pack(rows[:1]))
        answer.put(same and "by the child" in items)
    except Exception as error:
        answer.put(repr(error))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_process_opens_the_file_anew(tmp_path: Path):
    warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of forking with threads
    context = multiprocessing.get_context("fork")
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((32, 32)).astype(np.float32)
    stop = threading.Event()
    with open_collection(tmp_path / "c.h2q", n_bits=32) as items:
        items.add(range(5000), rng.integers(0, 256, (5000, 4), dtype=np.uint8))
        expected = items.search(rows, 3).ids

        def busy() -> None:
            while not stop.is_set():
                items.search(rows, 50)
                items.get([1, 2, 3])

        threads = [threading.Thread(target=busy) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(4):
                answer = context.Queue()
                child = context.Process(
                    target=_search_in_a_child, args=(items, rows, expected, answer)
                )
                child.start()
                assert answer.get(timeout=30) is True
                child.join(30)
                assert child.exitcode == 0
                items.delete(["by the child"])
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert items.search(rows, 3).ids == expected
        items.check()


def _search_after_the_parent_closed(items: Any, path: Path, told: Any, answer: Any) -> None:
    told.wait(30)
    code = np.zeros((1, 4), np.uint8)
    with open_collection(path) as others:
        for number in range(3):
            others.add([number], code)
            answer.put(items.search(code, 9).ids[0] == list(range(number + 1)))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_process_follows_a_log_that_was_made_anew(tmp_path: Path):
    """The index of the log that it inherits is removed when the parent closes the file."""
    warnings.simplefilter("ignore", DeprecationWarning)
    context = multiprocessing.get_context("fork")
    told, answer = context.Event(), context.Queue()
    path = tmp_path / "c.h2q"
    with open_collection(path, n_bits=32) as items:
        assert items.search(np.zeros((1, 4), np.uint8), 9).ids == [[]]
        child = context.Process(
            target=_search_after_the_parent_closed, args=(items, path, told, answer)
        )
        child.start()
    told.set()
    assert [answer.get(timeout=30) for _ in range(3)] == [True] * 3
    child.join(30)
    assert child.exitcode == 0


def test_objects_that_nobody_closed_leak_no_handle(tmp_path: Path):
    import gc

    def handles() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").exists():
        pytest.skip("handles are counted on Linux")
    path, codes = tmp_path / "c.h2q", np.zeros((5, 2), np.uint8)
    open_collection(path, n_bits=16).close()
    counts = []
    for _ in range(4):
        items = open_collection(path)
        items.add(range(5), codes)
        items.search(codes[:1], 1)
        items.get([1])
        del items
        gc.collect()
        counts.append(handles())
    assert counts[1:] == counts[:1] * 3
