"""A copy made while the collection is in use is of one moment, whole or not at all."""

from __future__ import annotations

import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from h2q import open_collection
from h2q.codes import pack
from h2q.collections.embedded import backup
from h2q.errors import CollectionError
from tests.collections.brute_collection import DictModel, same_content

GROUP = 200


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "photos.h2q"
    with open_collection(path, n_bits=32, keep="scale") as collection:
        rows = np.random.default_rng(0).standard_normal((4000, 32)).astype(np.float32)
        payloads = [{"text": "x" * 200}] * 4000
        collection.add(range(4000), pack(rows), payloads, embeddings=rows)
        collection.delete(range(100))
    return path


def test_a_copy_holds_what_the_collection_holds(path, tmp_path):
    model = DictModel(32)
    reports: list[tuple[int, int]] = []
    with open_collection(path) as collection:
        for batch in collection.iterate():
            model.add(batch.ids, batch.codes, batch.payloads)
        collection.backup(tmp_path / "copy.h2q", on_progress=lambda *each: reports.append(each))
        collection.delete(range(2000))  # the copy has nothing to do with it any more
    assert reports[-1][0] == reports[-1][1] > 0
    with open_collection(tmp_path / "copy.h2q") as copy:
        copy.check()
        same_content(copy, model)
        assert copy.info().keep == "scale"
        copy.add([1], np.zeros((1, 4), np.uint8), embeddings=-np.ones((1, 32)))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["copy.h2q", "photos.h2q"]


def test_what_is_still_in_the_log_is_copied(path, tmp_path):
    with open_collection(path) as collection:
        collection.delete([200])
        assert Path(f"{path}-wal").stat().st_size
        with open_collection(path, mode="r") as reader:
            reader.backup(tmp_path / "copy.h2q")
    with open_collection(tmp_path / "copy.h2q", mode="r") as copy:
        assert 200 not in copy
        assert len(copy) == 3899


def test_a_file_that_is_there_is_kept_unless_told(path, tmp_path):
    target = tmp_path / "copy.h2q"
    target.write_bytes(b"precious")
    with open_collection(path) as collection:
        with pytest.raises(CollectionError, match=r"copy\.h2q exists.*overwrite"):
            collection.backup(target)
        assert target.read_bytes() == b"precious"
        collection.backup(target, overwrite=True)
        for other, words in ((path, "is the collection itself"), (tmp_path, "exists; give")):
            with pytest.raises(CollectionError, match=words):
                collection.backup(other, overwrite=True)
        with pytest.raises(CollectionError, match="absent"):
            collection.backup(tmp_path / "absent" / "copy.h2q")
        assert len(collection) == 3900
    with open_collection(target) as copy:
        assert len(copy) == 3900
    with pytest.raises(CollectionError, match="closed"):
        copy.backup(tmp_path / "other.h2q")


@pytest.mark.parametrize("before", [None, b"the copy of yesterday"])
def test_an_interrupted_copy_leaves_things_as_they_were(path, tmp_path, monkeypatch, before):
    monkeypatch.setattr(backup, "_PAGES", 10)
    target = tmp_path / "copy.h2q"
    if before is not None:
        target.write_bytes(before)

    def interrupt(done: int, total: int) -> None:
        if done > total // 2:
            raise KeyboardInterrupt

    with open_collection(path) as collection:
        with pytest.raises(KeyboardInterrupt):
            collection.backup(target, overwrite=True, on_progress=interrupt)
        assert (target.read_bytes() if target.exists() else None) == before
        names = {"photos.h2q", "photos.h2q-wal", "photos.h2q-shm", "copy.h2q"}
        assert {p.name for p in tmp_path.iterdir()} <= names
        collection.backup(target, overwrite=True)
    with open_collection(target) as copy:
        assert len(copy) == 3900


def test_no_room_for_the_copy_leaves_none(path, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open_collection(path, mode="r") as collection:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, before[1]))
        try:
            with pytest.raises(CollectionError, match=r"copy\.h2q.*space"):
                collection.backup(tmp_path / "copy.h2q")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert len(collection) == 3900
    assert [p.name for p in tmp_path.iterdir()] == ["photos.h2q"]


def test_a_full_disk_is_named_and_keeps_the_copy_of_yesterday(path, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        (disk / "copy.h2q").write_bytes(b"yesterday")
        with (
            open_collection(path) as collection,
            pytest.raises(CollectionError, match=r"copy\.h2q.*full"),
        ):
            collection.backup(disk / "copy.h2q", overwrite=True)
        assert [p.name for p in disk.iterdir()] == ["copy.h2q"]
        assert (disk / "copy.h2q").read_bytes() == b"yesterday"
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        with open_collection(path) as collection:
            collection.backup(disk / "copy.h2q", overwrite=True)
        with open_collection(disk / "copy.h2q", mode="r") as copy:
            assert len(copy) == 3900
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


WRITER = """
import sys
import numpy as np
from h2q import open_collection
collection = open_collection(sys.argv[1])
rng = np.random.default_rng(0)
step = 0
while True:
    first = GROUP * (step % 40 + 1)
    codes = rng.integers(0, 256, (GROUP, 4), dtype=np.uint8)
    collection.add(range(first, first + GROUP), codes, [{"text": "y" * 500, "step": step}] * GROUP)
    if step % 4 == 3:
        gone = GROUP * (int(rng.integers(40)) + 1)
        collection.delete(range(gone, gone + GROUP))
    step += 1
    if step == 5:
        print("at work", flush=True)
""".replace("GROUP", str(GROUP))


@pytest.mark.slow
def test_copies_while_another_process_writes(tmp_path, monkeypatch):
    """Each group of ids is written whole, in one call: no copy has a part of one."""
    monkeypatch.setattr(backup, "_PAGES", 20)
    path, steps = tmp_path / "photos.h2q", []
    with open_collection(path, n_bits=32) as collection:
        collection.add(range(GROUP), np.zeros((GROUP, 4), np.uint8))
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            try:
                assert writer.stdout is not None
                assert writer.stdout.readline() == "at work\n"
                searched: list[int] = []
                for number in range(6):
                    during: list[int] = []

                    def watch(done: int, total: int, during: list[int] = during) -> None:
                        time.sleep(0.002)
                        during.append(done)

                    copying = threading.Thread(
                        target=collection.backup,
                        args=(tmp_path / f"{number}.h2q",),
                        kwargs={"on_progress": watch},
                    )
                    copying.start()
                    while copying.is_alive():  # this object answers meanwhile
                        searched.append(len(collection.search(np.zeros(4, np.uint8), 5).ids[0]))
                    copying.join()
                    assert len(during) > 5
            finally:
                writer.kill()
        assert len(searched) > 6
    for number in range(6):
        with open_collection(tmp_path / f"{number}.h2q", mode="r") as copy:
            copy.check()
            groups: dict[int, list[int]] = {}
            for batch in copy.iterate():
                for item_id, payload in zip(batch.ids, batch.payloads, strict=True):
                    groups.setdefault(int(item_id) // GROUP, []).append(
                        (payload or {"step": -1})["step"]
                    )
            assert all(len(each) == GROUP and len(set(each)) == 1 for each in groups.values())
            steps.append(max(each[0] for each in groups.values()))
    assert steps == sorted(steps)
    assert steps[-1] > steps[0]  # the writer was at work all the while


def test_a_copy_killed_midway_leaves_none(path, tmp_path):
    code = """
import sys, time
from pathlib import Path
from h2q import open_collection
from h2q.collections.embedded import backup
backup._PAGES = 10
def slow(done, total):
    print(done, flush=True)
    time.sleep(0.05)
with open_collection(sys.argv[1], mode="r") as collection:
    collection.backup(Path(sys.argv[2]), on_progress=slow)
"""
    target = tmp_path / "copy.h2q"
    command = [sys.executable, "-c", code, str(path), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) > 0
        process.send_signal(signal.SIGKILL)
    assert not target.exists()
    with open_collection(path) as collection:
        collection.check()
        collection.backup(target)
    with open_collection(target) as copy:
        assert len(copy) == 3900


def test_a_collection_in_a_read_only_folder_is_copied(path, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.move(path, folder)
    target = tmp_path / "mounted"
    target.mkdir()
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
        with open_collection(target / "photos.h2q", mode="r") as collection:
            collection.backup(tmp_path / "copy.h2q")
        with open_collection(tmp_path / "copy.h2q") as copy:
            assert len(copy) == 3900
        assert [p.name for p in target.iterdir()] == ["photos.h2q"]
    finally:
        subprocess.run(["umount", "-l", str(target)], check=True)
