"""The cache beside a collection opens it fast, and is never believed where it is not its own."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from h2q import open_collection
from h2q.collections.embedded import array_file, derived, items
from h2q.collections.embedded.collection import EmbeddedCollection
from h2q.errors import FormatError
from tests.collections.brute_collection import DictModel, exact_rows

N = 2000


@pytest.fixture(autouse=True)
def _small_collections_are_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derived, "LEAST_CACHED", 1000)


def fill(target: EmbeddedCollection | DictModel, start: int, n: int, seed: int) -> None:
    codes = np.random.default_rng(seed).integers(0, 256, (n, 3), dtype=np.uint8)
    ids = [i if i % 2 else f"photo {i}.jpg" for i in range(start, start + n)]
    target.add(ids, codes, [{"n": i} for i in range(n)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A collection closed after it was filled."""
    path = tmp_path / "photos.h2q"
    with open_collection(path, n_bits=24) as collection:
        fill(collection, 0, N, 0)
        collection.optimize()
    return path


@pytest.fixture
def model() -> DictModel:
    model = DictModel(24)
    fill(model, 0, N, 0)
    return model


def cache_of(path: Path) -> Path:
    return path.with_name("photos.h2q.cache")


def items_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the items read from SQLite from now on."""
    read: list[int] = []
    original = items.read_codes

    def counted(*arguments):
        for block in original(*arguments):
            read.append(len(block[0]))
            yield block

    monkeypatch.setattr(items, "read_codes", counted)
    return read


def agrees(path: Path, model: DictModel, mode: str = "r") -> None:
    with open_collection(path, mode=mode) as collection:
        row = exact_rows(np.random.default_rng(3), 1, 24)
        code = model.items[next(iter(model.items))][0]
        asked = np.frombuffer(code, np.uint8)
        found = collection.search(asked, 50)
        assert (found.ids[0], found.distances[0].tolist()) == model.nearest(asked, 50)
        assert collection.search(row, 50).ids[0] == model.asymmetric(row[0], 50)[0]
        assert collection.within(asked, 6).ids[0] == model.within(asked, 6)[0]
        assert collection.within(asked, 24).ids[0] == model.within(asked, 24)[0]
        where = {"n": {"$lt": 100}}
        kept = model.nearest(asked, 300, lambda payload: payload["n"] < 100)
        assert collection.search(asked, 300, where).ids[0] == kept[0]


def test_a_cache_is_written_and_used(path, model, monkeypatch):
    assert cache_of(path).exists()
    read = items_read(monkeypatch)
    agrees(path, model)
    agrees(path, model, "a")
    assert sum(read) == 0
    # Any reader of safetensors can read it.
    from safetensors.numpy import load_file

    arrays = load_file(cache_of(path))
    assert arrays["codes"].tobytes() == b"".join(code for code, _ in model.items.values())


def test_small_collections_have_none(tmp_path):
    with open_collection(tmp_path / "photos.h2q", n_bits=24) as collection:
        fill(collection, 0, 900, 0)
        collection.search(np.zeros(3, np.uint8), 1)
        collection.optimize()
    assert [p.name for p in tmp_path.iterdir()] == ["photos.h2q"]


def test_adding_alone_does_not_wait_for_a_cache(tmp_path, model):
    path = tmp_path / "photos.h2q"
    with open_collection(path, n_bits=24) as collection:
        fill(collection, 0, N, 0)
    assert not cache_of(path).exists()
    agrees(path, model, "a")
    assert cache_of(path).exists()


def test_a_reader_writes_nothing(path, model):
    cache_of(path).unlink()
    agrees(path, model)
    with open_collection(path, mode="r") as collection:
        collection.optimize()
    assert [p.name for p in path.parent.iterdir()] == ["photos.h2q"]
    agrees(path, model, "a")
    assert cache_of(path).exists()


def test_what_came_after_the_cache_is_read_from_the_truth(path, model, monkeypatch):
    before = cache_of(path).read_bytes()
    with open_collection(path) as collection:
        for each in (collection, model):
            fill(each, N, 20, 1)
            fill(each, 0, 10, 2)  # replaces
            each.delete([31, "photo 40.jpg"])
    assert cache_of(path).read_bytes() == before
    read = items_read(monkeypatch)
    agrees(path, model)
    assert sum(read) == 30


def test_a_cache_far_behind_is_written_anew(path, model, monkeypatch):
    with open_collection(path) as collection:
        for each in (collection, model):
            fill(each, N, 1000, 1)
        collection.optimize()
    read = items_read(monkeypatch)
    agrees(path, model)
    assert sum(read) == 0
    with open_collection(path) as collection:
        for each in (collection, model):
            each.delete(list(range(1, 2000, 2)))
        collection.compact()
        collection.search(np.zeros(3, np.uint8), 1)
    read.clear()
    agrees(path, model)
    assert sum(read) == 0


def test_a_cut_log_of_removals_makes_the_cache_worthless(path, model):
    before = cache_of(path).read_bytes()
    with open_collection(path) as collection:
        for each in (collection, model):
            each.delete([1, 3, 5])
        collection.compact()
    cache_of(path).write_bytes(before)
    agrees(path, model)


# Caches that are not what they should be


def test_a_cache_of_another_collection_is_not_believed(path, model, tmp_path):
    other = tmp_path / "other.h2q"
    with open_collection(other, n_bits=24) as collection:
        fill(collection, 0, N, 77)
        collection.optimize()
    shutil.copy(f"{other}.cache", cache_of(path))
    agrees(path, model)


def test_a_cache_of_a_later_moment_is_not_believed(path, tmp_path, model):
    """The collection is set back from a copy and then changed otherwise, to the same numbers."""
    copy = tmp_path / "copy.h2q"
    shutil.copy(path, copy)
    with open_collection(path) as collection:
        fill(collection, N, 1500, 1)
        collection.optimize()
    later = cache_of(path).read_bytes()
    shutil.copy(copy, path)
    with open_collection(path) as collection:
        for each in (collection, model):
            fill(each, N, 1500, 2)
    cache_of(path).write_bytes(later)
    agrees(path, model)


def test_a_copy_and_its_cache_go_ways_of_their_own(path, tmp_path, model):
    copy = tmp_path / "folder" / "photos.h2q"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    shutil.copy(cache_of(path), cache_of(copy))
    with open_collection(path) as collection:
        fill(collection, N, 50, 1)
    with open_collection(copy) as collection:
        for each in (collection, model):
            fill(each, N, 50, 2)
    agrees(copy, model)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.5, 0.999])
def test_a_truncated_cache_is_not_believed(path, model, share):
    data = cache_of(path).read_bytes()
    cache_of(path).write_bytes(data[: int(len(data) * share)])
    agrees(path, model)
    with open_collection(path) as collection:
        collection.search(np.zeros(3, np.uint8), 1)
    assert len(cache_of(path).read_bytes()) > len(data) // 2  # made anew from the truth


def test_any_flipped_bit_is_found(path, model):
    data = cache_of(path).read_bytes()
    length = 8 + int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(0)
    header = rng.integers(0, length, 150)
    content = rng.integers(length, len(data), 50)
    harmless = 0
    _, wanted = array_file.read(cache_of(path))
    wanted = {name: array.copy() for name, array in wanted.items()}
    for place in [*range(8), *header, *content]:
        flipped = bytearray(data)
        flipped[place] ^= 1 << int(rng.integers(8))
        cache_of(path).write_bytes(flipped)
        try:
            facts, arrays = array_file.read(cache_of(path))
        except FormatError:
            continue
        # A bit of the header's white space, or of the order of its keys' letters at most.
        harmless += 1
        assert facts["token"]
        assert all(np.array_equal(arrays[name], wanted[name]) for name in wanted)
    assert harmless < 30
    flipped = bytearray(data)
    flipped[-1] ^= 1
    cache_of(path).write_bytes(flipped)
    agrees(path, model)


@pytest.mark.parametrize("junk", [b"", b"x", b"\0" * 100, b"SQLite format 3\0" * 500, b"\xff" * 99])
def test_files_of_others_are_not_believed(path, model, junk):
    cache_of(path).write_bytes(junk)
    agrees(path, model)


def test_a_folder_in_its_place_does_no_harm(path, model):
    cache_of(path).unlink()
    cache_of(path).mkdir()
    agrees(path, model)
    agrees(path, model, "a")


# Writing it


def test_no_room_for_a_cache_loses_nothing(path, model):
    cache_of(path).unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # More than the collection needs for a token in its log, less than the cache.
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5_000, before[1]))
    try:
        with open_collection(path) as collection:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
            collection.search(np.zeros(3, np.uint8), 1)
            collection.optimize()
            assert len(collection) == N
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in path.parent.iterdir()] == ["photos.h2q"]
    agrees(path, model, "a")
    assert cache_of(path).exists()


def test_a_cache_that_cannot_be_written_is_not_tried_at_every_search(path, model, monkeypatch):
    cache_of(path).unlink()
    tried: list[int] = []

    def no_room(*_: object) -> None:
        tried.append(1)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, open_collection(path) as collection:
        patch.setattr(array_file, "write", no_room)
        for _ in range(5):
            collection.search(np.zeros(3, np.uint8), 1)
        assert len(tried) == 1
        collection.optimize()  # asked for, it is
        assert len(tried) == 2
        fill(collection, N, N, 1)
        collection.search(np.zeros(3, np.uint8), 1)
        assert len(tried) == 3


def test_a_full_disk_loses_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(disk)], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    path, model = disk / "photos.h2q", DictModel(24)
    try:
        with open_collection(path, n_bits=24) as collection:
            for each in (collection, model):
                fill(each, 0, 20_000, 0)
            room = os.statvfs(disk)
            assert room.f_bavail * room.f_frsize > 0
            filler = disk / "filler"
            filler.write_bytes(b"x" * (room.f_bavail * room.f_frsize - 300_000))
            collection.search(np.zeros(3, np.uint8), 1)
            collection.optimize()
        # The write-ahead log may stay: there is no room to fold it in.
        assert {p.name for p in disk.iterdir()} - {"photos.h2q-wal", "photos.h2q-shm"} == {
            "filler",
            "photos.h2q",
        }
        agrees(path, model)
        filler.unlink()
        agrees(path, model, "a")
        assert cache_of(path).exists()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_cache_in_a_read_only_folder_is_used(path, model, tmp_path, monkeypatch):
    target = tmp_path / "mounted"
    target.mkdir()
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in (path, cache_of(path)):
        shutil.move(name, folder)
    commands = [
        ["mount", "--bind", str(folder), str(target)],
        ["mount", "-o", "remount,ro,bind", str(target)],
    ]
    try:
        done = [subprocess.run(command, capture_output=True).returncode for command in commands]
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done[0]:
        pytest.skip("mounting is not permitted here")
    try:
        read = items_read(monkeypatch)
        agrees(target / "photos.h2q", model)
        assert sum(read) == 0
        cache_of(folder / "photos.h2q").unlink()
        agrees(target / "photos.h2q", model)
        assert sum(read) == N
    finally:
        subprocess.run(["umount", "-l", str(target)], check=True)


def test_a_writer_at_work_is_not_waited_for(path, model):
    cache_of(path).unlink()
    other = sqlite3.connect(path, isolation_level=None)
    with open_collection(path) as collection:
        other.execute("BEGIN IMMEDIATE")
        assert len(collection.within(np.zeros(3, np.uint8), 24).ids[0]) == N
        assert not cache_of(path).exists()
        other.execute("ROLLBACK")
        other.close()
    agrees(path, model)
    assert cache_of(path).exists()


def test_an_exception_leaves_without_writing(path):
    cache_of(path).unlink()

    def interrupted() -> None:
        with open_collection(path) as collection:
            fill(collection, N, 2000, 1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not cache_of(path).exists()


READER = """
import sys
import numpy as np
from h2q import open_collection
for _ in range(40):
    with open_collection(sys.argv[1], mode="r") as collection:
        ids = collection.within(np.zeros(3, np.uint8), 24).ids[0]
        groups, counts = np.unique([int(i) // 500 for i in ids], return_counts=True)
        assert set(counts.tolist()) == {500}, counts
        assert len(ids) >= 500
"""


@pytest.mark.slow
def test_readers_while_caches_are_replaced(tmp_path):
    """Each group of ids is added whole and removed whole; so is what any reader sees of it."""
    path = tmp_path / "photos.h2q"
    rng = np.random.default_rng(0)
    with open_collection(path, n_bits=24) as collection:
        collection.add(range(500), rng.integers(0, 256, (500, 3), dtype=np.uint8))
        readers = [subprocess.Popen([sys.executable, "-c", READER, str(path)]) for _ in range(2)]
        written, last, step = 0, 0, 0
        while any(reader.poll() is None for reader in readers):
            group = list(range(500 * (1 + step % 7), 500 * (2 + step % 7)))
            if step % 5 == 4:
                collection.delete(group)
            else:
                collection.add(group, rng.integers(0, 256, (500, 3), dtype=np.uint8))
            collection.optimize()
            now = cache_of(path).stat().st_mtime_ns
            written, last, step = written + (now != last), now, step + 1
        assert [reader.wait() for reader in readers] == [0, 0]
    assert written > 20
