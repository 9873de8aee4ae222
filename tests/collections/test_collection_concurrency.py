"""Two readers and one writer at once, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from h2q import open_collection
from h2q.codes import pack
from h2q.collections.embedded import items
from h2q.errors import CollectionError

GROUP = 40

#: Answers each line (a code in hex) with what it finds at distance 0, until told to watch: then it
#: searches without pause and checks that it never sees a write by halves.
READER = """
import json, sys
import numpy as np
from h2q import open_collection
collection = open_collection(sys.argv[1], mode="r")
print("ready", flush=True)
everything = np.zeros(4, np.uint8)
for line in sys.stdin:
    if line == "watch\\n":
        seen = set()
        while 0 not in seen or -1 not in seen:
            if -1 in collection:
                seen.add(-1)
            ids = collection.within(everything, 32).ids[0]
            by_asymmetric = collection.search(np.ones(32), 100_000).ids[0]
            for found in (ids, by_asymmetric):
                groups, counts = np.unique(np.array(found, int) // GROUP, return_counts=True)
                whole = counts[groups >= 0] == GROUP
                assert whole.all(), (groups, counts)
                seen.add(0 if len(found) > GROUP else 1)
        print(json.dumps("done"), flush=True)
    else:
        code = np.frombuffer(bytes.fromhex(line.strip()), np.uint8)
        print(json.dumps(collection.within(code, 0).ids[0]), flush=True)
""".replace("GROUP", str(GROUP))

#: Adds and deletes whole groups of ids, each in one call.
WRITER = """
import sys
import numpy as np
from h2q import open_collection
collection = open_collection(sys.argv[1])
rng = np.random.default_rng(0)
for step in range(120):
    first = GROUP * (step % 30 + 1)
    ids = list(range(first, first + GROUP))
    collection.add(ids, rng.integers(0, 256, (GROUP, 4), dtype=np.uint8))
    if step % 3 == 2:
        first = GROUP * (int(rng.integers(30)) + 1)
        collection.delete(list(range(first, first + GROUP)))
collection.add([-1], np.zeros((1, 4), np.uint8))
""".replace("GROUP", str(GROUP))


class Reader:
    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert self._process.wait(timeout=30) == 0


@pytest.mark.slow
def test_two_readers_and_one_writer(tmp_path: Path):
    path = tmp_path / "photos.h2q"
    rng = np.random.default_rng(1)
    with open_collection(path, n_bits=32) as collection:
        collection.add(range(GROUP), rng.integers(0, 256, (GROUP, 4), dtype=np.uint8))
        readers = [Reader(path), Reader(path)]
        assert [reader.line() for reader in readers] == ["ready", "ready"]

        # What is committed is seen by the next call, additions, replacements and deletions alike.
        for step in range(20):
            code, other = rng.integers(0, 256, (2, 1, 4), dtype=np.uint8)
            for change, expected in [
                (lambda code=code: collection.add(["x"], code), ["x"]),
                (lambda other=other: collection.add(["x"], other), []),
                (lambda code=code: collection.add(["x", "y"], np.repeat(code, 2, 0)), ["x", "y"]),
                (lambda: collection.delete(["x", "y"]), []),
            ]:
                change()
                for reader in readers:
                    reader.tell(code.tobytes().hex())
                assert [json.loads(reader.line()) for reader in readers] == [expected] * 2, step

        # And at full speed no reader ever sees a write by halves.
        for reader in readers:
            reader.tell("watch")
        writer = subprocess.run([sys.executable, "-c", WRITER, str(path)], timeout=120)
        assert writer.returncode == 0
        assert [json.loads(reader.line()) for reader in readers] == ["done", "done"]
        for reader in readers:
            reader.close()
        collection.check()


def test_two_writers_take_turns(tmp_path: Path):
    path = tmp_path / "photos.h2q"
    codes = pack(np.random.default_rng(0).standard_normal((50, 16)))
    with open_collection(path, n_bits=16) as one, open_collection(path) as other:

        def write(collection, name):
            for i in range(50):
                collection.add([f"{name} {i}"], codes[i : i + 1])

        threads = [
            threading.Thread(target=write, args=(each, name))
            for each, name in ((one, "a"), (other, "b"), (other, "c"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expected = {f"{name} {i}" for name in "abc" for i in range(50)}
        assert set(one) == set(other) == expected
        assert set(one.search(codes[0], 1000).ids[0]) == expected


@pytest.mark.parametrize("how", ["compact", "many deletions"])
def test_a_reader_behind_a_cut_log_reads_anew(tmp_path: Path, how, monkeypatch):
    path = tmp_path / "photos.h2q"
    codes = pack(np.random.default_rng(0).standard_normal((100, 16)))
    with open_collection(path, n_bits=16) as writer, open_collection(path, mode="r") as reader:
        writer.add(range(100), codes)
        assert len(reader.search(codes[0], 1000).ids[0]) == 100
        if how == "many deletions":
            monkeypatch.setattr(items, "_LEAST_LOG", 10)
        writer.delete(range(60))
        writer.add(["new"], codes[:1])
        if how == "compact":
            writer.compact()
        with writer._snapshot() as connection:
            assert items.read_state(connection).forgotten == 60
        expected = {*range(60, 100), "new"}
        for collection in (reader, writer):
            assert set(collection.search(codes[0], 1000).ids[0]) == expected
            assert set(collection.search(np.ones(16), 1000).ids[0]) == expected


def test_one_object_serves_several_threads(tmp_path: Path):
    rows = np.random.default_rng(0).standard_normal((400, 16))
    with open_collection(tmp_path / "photos.h2q", n_bits=16) as collection:
        collection.add(range(400), pack(rows))
        expected = collection.search(rows, 5).ids
        found: dict[int, list] = {}

        def search(share):
            found[share] = collection.search(rows[share::4], 5).ids

        threads = [threading.Thread(target=search, args=(share,)) for share in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(found[share] == expected[share::4] for share in range(4))


def test_a_writer_that_never_ends_is_reported(tmp_path: Path, monkeypatch):
    from h2q.collections.embedded import connection

    monkeypatch.setattr(connection, "_PATIENCE_S", 0.1)
    path = tmp_path / "photos.h2q"
    with open_collection(path, n_bits=16) as one, open_collection(path) as other:
        with connection.writing(one._connection):
            with pytest.raises(CollectionError, match="another process"):
                other.add(["a"], np.zeros((1, 2), np.uint8))
            assert len(other) == 0
        other.add(["a"], np.zeros((1, 2), np.uint8))
        assert list(one) == ["a"]


def is_known(collection) -> bool:
    """Whether a search would need no transaction."""
    return collection._mirror.unchanged(collection._version(), None, False) is not None


def test_what_others_commit_is_seen_without_a_transaction_of_ones_own(tmp_path: Path):
    """The short way, by the index of the log, is left whenever anyone has written."""
    path = tmp_path / "photos.h2q"
    codes = pack(np.random.default_rng(0).standard_normal((100, 16)))
    with open_collection(path, n_bits=16) as one, open_collection(path) as other:
        assert other._guard.has_index
        where = {"kept": True}
        for step in range(40):
            writer, changed = ((one, other), (other, one))[step % 2], step % 3
            if changed == 0:
                writer[0].add([step], codes[step : step + 1], [{"kept": step % 2 == 0}])
            elif changed == 1 and step > 3:
                writer[0].delete([step - 1 - 3 * (step % 2)])
            elif changed == 2:
                writer[0].compact()
            held = set(one)
            marked = {i for i in held if i % 2 == 0}
            for collection in (*writer, *writer):
                short = is_known(collection)
                assert set(collection.within(codes[0], 16).ids[0]) == held
                assert set(collection.search(codes[0], 200).ids[0]) == held
                assert set(collection.search(codes[0], 200, where).ids[0]) == marked
                assert short or is_known(collection)
        assert len(held) > 3


_ADDS_AT_A_WORD = """
import sys
import numpy as np
from h2q import open_collection
with open_collection(sys.argv[1]) as items:
    for line in sys.stdin:
        items.add([int(line)], np.zeros((1, 2), np.uint8))
        print(line, end="", flush=True)
"""


@pytest.mark.parametrize("mode", ["a", "r"])
def test_what_another_process_commits_is_seen_at_the_next_call(tmp_path: Path, mode):
    path = tmp_path / "photos.h2q"
    open_collection(path, n_bits=16).close()
    writer = subprocess.Popen(
        [sys.executable, "-c", _ADDS_AT_A_WORD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    try:
        with open_collection(path, mode=mode) as items:
            for number in range(50):
                writer.stdin.write(f"{number}\n")
                writer.stdin.flush()
                assert writer.stdout.readline() == f"{number}\n"
                assert items.search(np.zeros((1, 2), np.uint8), 100).ids[0] == [*range(number + 1)]
                assert is_known(items)
    finally:
        writer.stdin.close()
        assert writer.wait(30) == 0


def test_without_an_index_of_the_log_commits_are_seen_by_sqlites_own_count(tmp_path: Path):
    path = tmp_path / "photos.h2q"
    with open_collection(path, n_bits=16) as one, open_collection(path) as other:
        other._guard._index = None  # as on a system where it is no file
        for number in range(5):
            one.add([number], np.zeros((1, 2), np.uint8))
            assert other.search(np.zeros((1, 2), np.uint8), 9).ids[0] == [*range(number + 1)]
            assert is_known(other)
