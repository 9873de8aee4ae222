"""Searches of one object side by side, with a writer at work, and in a forked process."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import h2q
from h2q import open_collection
from h2q.codes import pack
from h2q.collections.embedded import collection, indexes, scans
from h2q.errors import CollectionError, H2QError
from h2q.images import read_photo
from h2q.ingest import ingest
from h2q.quantization.serialization import load as load_quantizer

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


_CLOSED_WHILE_READ = """
import sys, threading, time
import numpy as np
from h2q import open_collection
from h2q.errors import CollectionError

path, what = sys.argv[1:]
code = np.zeros((1, 8), np.uint8)
for number in range(15):
    items = open_collection(path)
    told = []

    def read():
        try:
            while True:
                if what == "get":
                    items.get(list(range(50)))
                elif what == "iterate":
                    list(items.iterate(1000))
                else:
                    items.search(code, where={"a": {"$lt": int(time.monotonic_ns() % 999)}})
        except CollectionError as error:
            told.append("closed" in str(error))

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.03)
    items.close()
    for thread in threads:
        thread.join()
    assert told == [True] * 3, told
"""


@pytest.mark.parametrize("what", ["get", "iterate", "search"])
def test_closing_waits_for_who_reads(tmp_path: Path, what: str):
    path = tmp_path / "c.h2q"
    with open_collection(path, n_bits=64) as items:
        codes = np.random.default_rng(0).integers(0, 256, (3000, 8), dtype=np.uint8)
        items.add(range(3000), codes, [{"a": i % 3} for i in range(3000)])
    ended = subprocess.run(
        [sys.executable, "-c", _CLOSED_WHILE_READ, str(path), what], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    with open_collection(path) as items:
        items.check()
    assert [file.name for file in tmp_path.iterdir()] == ["c.h2q"]  # the last to read closed it


# A process that is forked off

_CODE = np.zeros((1, 4), np.uint8)
_ADDS = """
import sys
import numpy as np
from h2q import open_collection
with open_collection(sys.argv[1]) as items:
    for name in sys.argv[2:]:
        items.add([name], np.zeros((1, 4), np.uint8))
"""


def _in_a_child(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> Any:
    """Fork; return what `work` returns in the child, or its error, after `before` in the parent."""
    warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, of forking with threads
    context = multiprocessing.get_context("fork")
    told, answer = context.Event(), context.Queue()

    def run() -> None:
        told.wait(30)
        try:
            answer.put(work())
        except CollectionError as error:
            answer.put(str(error))

    child = context.Process(target=run)
    child.start()
    before()
    told.set()
    found = answer.get(timeout=30)
    child.join(30)
    assert child.exitcode == 0
    return found


def _added_by_another_process(path: Path, *names: str) -> None:
    subprocess.run([sys.executable, "-c", _ADDS, str(path), *names], check=True)


needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")


@needs_fork
@pytest.mark.parametrize("fresh", [False, True])
def test_a_forked_process_refuses_a_file_that_its_parent_closed(tmp_path: Path, fresh: bool):
    """SQLite would go on there with the index of a log that nobody else has."""
    path = tmp_path / "c.h2q"
    items = open_collection(path, n_bits=32)
    items.add(["first"], _CODE)

    def elsewhere() -> None:
        items.close()
        _added_by_another_process(path, "a", "b")

    def add() -> None:
        used = open_collection(path) if fresh else items
        used.add(["by the child"], _CODE)

    assert "has been closed since by the process that forked" in _in_a_child(add, elsewhere)
    with open_collection(path) as again:
        assert list(again) == ["first", "a", "b"]
        again.check()


@needs_fork
def test_a_forked_process_sees_others_and_is_seen(tmp_path: Path):
    path = tmp_path / "c.h2q"
    with open_collection(path, n_bits=32) as items:
        assert len(items.search(_CODE).ids[0]) == 0

        def work() -> list[Any]:
            items.add(["by the child"], _CODE)
            _added_by_another_process(path, "by another")
            return items.search(_CODE).ids[0]

        assert _in_a_child(work) == ["by the child", "by another"]
        assert items.search(_CODE).ids[0] == ["by the child", "by another"]


_FORKS_AND_ENDS = """
import os, sys, time
import numpy as np
from h2q import open_collection

path, done = sys.argv[1:]
code = np.zeros((1, 4), np.uint8)
items = open_collection(path, n_bits=32)
items.add(["parent"], code)
if os.fork():
    os._exit(0)
for number in range(40):
    items.add([number], code)
    time.sleep(0.02)
with open(done, "x"):
    os._exit(0)
"""


@needs_fork
def test_a_child_that_outlives_its_parent_has_locks_of_its_own(tmp_path: Path):
    path, done = tmp_path / "c.h2q", tmp_path / "done"
    subprocess.run([sys.executable, "-c", _FORKS_AND_ENDS, str(path), str(done)], check=True)
    names = [f"other {number}" for number in range(3)]
    for name in names:
        _added_by_another_process(path, name)  # it opens and closes the file
    give_up = time.monotonic() + 30
    while not done.exists() and time.monotonic() < give_up:
        time.sleep(0.05)
    with open_collection(path) as items:
        assert set(items) == {"parent", *range(40), *names}
        items.check()


@needs_fork
def test_a_process_that_forks_waits_for_who_reads(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(collection, "_PATIENCE_S", 0.2)
    with open_collection(tmp_path / "c.h2q", n_bits=32) as items:
        with items._readers.lent():  # a thread that stays inside of SQLite
            assert "in use by another thread" in _in_a_child(lambda: len(items))
        assert _in_a_child(lambda: len(items)) == 0
        assert len(items) == 0


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="the system does not list locks")
def test_nothing_that_reads_files_ends_the_locks_of_a_collection(tmp_path: Path):
    path = tmp_path / "photo.png"
    with open_collection(path, n_bits=32) as items:
        items.add(["a"], _CODE)
        inode = path.stat().st_ino

        def locks() -> list[str]:
            lines = Path("/proc/locks").read_text().splitlines()
            return [line.split(maxsplit=1)[1] for line in lines if f":{inode} " in line]

        before = locks()
        assert before
        for reads in (
            h2q.load,
            lambda name: h2q.open_collection(tmp_path / "other.h2q", quantizer=str(name)),
            read_photo,
            load_quantizer,
            lambda name: ingest(str(name), items),
            lambda name: items.backup(tmp_path / "copy.h2q"),
        ):
            with suppress(H2QError):
                reads(path)
            assert locks() == before, reads
        _added_by_another_process(path, "b")
        items.add(["c"], _CODE)
        assert list(items) == ["a", "b", "c"]


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
