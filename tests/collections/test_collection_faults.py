"""Files that are not ours or damaged, folders that cannot be written, disks that are full."""

from __future__ import annotations

import contextlib
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
from h2q.codes import pack, save_codes
from h2q.errors import CollectionError, CompatibilityError, FormatError, H2QError, InvalidInputError
from tests.collections.killed import Other


@pytest.fixture
def codes() -> np.ndarray:
    return pack(np.random.default_rng(0).standard_normal((3000, 64)))


@pytest.fixture
def filled(tmp_path: Path, codes: np.ndarray) -> Path:
    path = tmp_path / "photos.h2q"
    with open_collection(path, n_bits=64) as collection:
        collection.add(range(len(codes)), codes, [{"n": i} for i in range(len(codes))])
    return path


# Files that are not ours


def test_other_files_are_refused_and_left_as_they_are(tmp_path: Path, codes):
    other = sqlite3.connect(tmp_path / "database.h2q")
    other.execute("CREATE TABLE items (row, id, code, payload)")
    other.commit()
    other.close()
    (tmp_path / "text.h2q").write_text("not a collection\n" * 50)
    (tmp_path / "empty.h2q").touch()
    (tmp_path / "short.h2q").write_bytes(b"SQLite format 3\0")
    save_codes(tmp_path / "codes.h2q", codes, 64)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert len(names) == 5
    for name in names:
        before = (tmp_path / name).read_bytes()
        for options in ({}, {"mode": "r"}, {"n_bits": 64}):
            with pytest.raises(FormatError, match=name):
                open_collection(tmp_path / name, **options)
        assert (tmp_path / name).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == names


def test_folders_and_missing_files_are_reported(tmp_path: Path):
    with pytest.raises(CollectionError, match="a folder"):
        open_collection(tmp_path, n_bits=64)
    with pytest.raises(CollectionError, match="no such collection"):
        open_collection(tmp_path / "absent.h2q", mode="r")
    with pytest.raises(CollectionError, match="give n_bits"):
        open_collection(tmp_path / "absent.h2q")
    with pytest.raises(CollectionError, match="absent"):
        open_collection(tmp_path / "absent" / "photos.h2q", n_bits=64)
    with pytest.raises(InvalidInputError, match="n_bits"):
        open_collection(tmp_path / "absent.h2q", n_bits=0)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_format_is_refused_by_name(filled: Path):
    connection = sqlite3.connect(filled)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(CompatibilityError, match=r"version 7.*versions 1 and 2"):
        open_collection(filled)


def test_another_bit_order_is_refused_by_name(filled: Path):
    connection = sqlite3.connect(filled)
    with connection:
        connection.execute("UPDATE meta SET value = 'lsb' WHERE key = 'bit_order'")
    connection.close()
    with pytest.raises(CompatibilityError, match=r"'lsb'.*'msb'"):
        open_collection(filled)


# Damaged files


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_refused(filled: Path, share):
    data = filled.read_bytes()
    filled.write_bytes(data[: int(len(data) * share)])
    for mode in ("a", "r"):
        with pytest.raises(FormatError, match=r"photos\.h2q"):
            open_collection(filled, mode=mode)


@pytest.mark.parametrize("seed", range(8))
def test_overwritten_bytes_are_an_error_of_ours_or_a_right_answer(filled: Path, codes, seed):
    """Never a traceback of sqlite3, a crash, or an item that was not there."""
    rng = np.random.default_rng(seed)
    data = bytearray(filled.read_bytes())
    start = int(rng.integers(100, len(data) - 8192))
    data[start : start + 4096] = rng.bytes(4096)
    filled.write_bytes(data)
    try:
        with open_collection(filled) as collection:
            collection.check()
            collection.search(codes[:3], 10)
            for _ in collection.iterate():
                pass
    except H2QError as error:
        assert "photos.h2q" in str(error)  # noqa: PT017 (either outcome is right)


def test_check_finds_what_is_missing(filled: Path):
    connection = sqlite3.connect(filled)
    with connection:
        find = "SELECT sql FROM sqlite_master WHERE name = 'log_removal'"
        trigger = connection.execute(find).fetchone()[0]
        connection.execute("DROP TRIGGER log_removal")
        connection.execute("DELETE FROM items WHERE id < 10")
        connection.execute(trigger)
    connection.close()
    with open_collection(filled) as collection, pytest.raises(FormatError, match="2990 items"):
        collection.check()


# Folders that cannot be written


@pytest.fixture
def read_only_mount(tmp_path: Path):
    """Mounts a folder over itself, read-only: binds root, too."""
    mounted = []

    def mount(folder: Path) -> Path:
        target = tmp_path / "mounted"
        target.mkdir()
        for command in (
            ["mount", "--bind", str(folder), str(target)],
            ["mount", "-o", "remount,ro,bind", str(target)],
        ):
            try:
                done = subprocess.run(command, capture_output=True)
            except FileNotFoundError:
                pytest.skip("there is no mount command here")
            if done.returncode:
                pytest.skip("mounting is not permitted here")
            mounted[:] = [target]
        return target

    yield mount
    for target in mounted:
        # Lazily: a test that failed may still hold a file open.
        subprocess.run(["umount", "-l", str(target)], check=True)


def check_read_only(folder: Path, codes: np.ndarray) -> None:
    with open_collection(folder / "photos.h2q", mode="r") as collection:
        assert len(collection) == len(codes)
        assert collection.search(codes[:5], 1).ids == [[0], [1], [2], [3], [4]]
        assert collection.get([7])[0].payload == {"n": 7}
    with pytest.raises(CollectionError, match="mode='r'"):
        open_collection(folder / "photos.h2q")
    with pytest.raises(CollectionError, match=r"new\.h2q"):
        open_collection(folder / "new.h2q", n_bits=8)


def test_a_read_only_file_system_can_be_read(tmp_path, codes, filled, read_only_mount):
    (tmp_path / "folder").mkdir()
    shutil.move(filled, tmp_path / "folder")
    check_read_only(read_only_mount(tmp_path / "folder"), codes)


def test_a_log_in_a_read_only_folder_is_not_overlooked(tmp_path, codes, filled, read_only_mount):
    folder = tmp_path / "folder"
    folder.mkdir()
    with open_collection(filled) as collection:
        collection.add(["late"], codes[:1])
        for suffix in ("", "-wal"):  # as a copy taken while the collection was open
            shutil.copy(f"{filled}{suffix}", folder)
    mounted = read_only_mount(folder)
    with pytest.raises(CollectionError, match=r"photos\.h2q-wal"):
        open_collection(mounted / "photos.h2q", mode="r")
    with open_collection(folder / "photos.h2q") as collection:
        assert "late" in collection


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_write_permission_can_be_read(tmp_path, codes, filled):
    filled.chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        check_read_only(tmp_path, codes)
    finally:
        tmp_path.chmod(0o755)


# Full disks

#: Adds groups of 500 until that fails, printing each number when it is acknowledged.
FILL = """
import sys
import numpy as np
from h2q import open_collection
from h2q.errors import CollectionError
collection = open_collection(sys.argv[1], n_bits=64)
collection.add(["first"], np.zeros((1, 8), np.uint8))
LIMIT
n = 0
try:
    while True:
        ids = [f"{n} {i}" for i in range(500)]
        collection.add(ids, np.full((500, 8), n % 256, np.uint8), [{"text": "x" * 200}] * 500)
        n += 1
except CollectionError as error:
    print(n, error)
assert len(collection) == 1 + 500 * n  # the object is still of use
assert len(collection.within(np.zeros((1, 8), np.uint8), 64).ids[0]) == 1 + 500 * n
collection.close()
"""


def fill(path: Path, limit: str = "") -> tuple[int, str]:
    script = FILL.replace("LIMIT", limit)
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    number, _, message = done.stdout.strip().partition(" ")
    return int(number), message


def check_filled(path: Path, groups: int) -> None:
    with open_collection(path) as collection:
        collection.check()
        expected = {"first", *(f"{n} {i}" for n in range(groups) for i in range(500))}
        assert set(collection) == expected
        collection.add(["last"], np.zeros((1, 8), np.uint8))
        assert len(collection) == 2 + 500 * groups


def test_a_file_size_limit_loses_nothing_acknowledged(tmp_path: Path):
    limit = f"import resource; resource.setrlimit({resource.RLIMIT_FSIZE}, (2_000_000, -1))"
    path = tmp_path / "photos.h2q"
    groups, message = fill(path, limit)
    assert groups > 1
    assert "photos.h2q" in message
    assert "space" in message
    check_filled(path, groups)


def test_a_full_disk_loses_nothing_acknowledged(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    try:
        groups, message = fill(disk / "photos.h2q")
        assert groups > 1
        assert "full" in message
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        check_filled(disk / "photos.h2q", groups)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize("log", ["folded in", "left by a killed writer", "of a live writer"])
def test_a_full_disk_can_be_read(tmp_path: Path, codes, log):
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True
        )
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip("mounting is not permitted here")
    path = disk / "photos.h2q"
    try:
        with Other(path) as writer:
            writer.ask("c.add(range(3000), codes(0, 3000))")
            if log.startswith("left"):
                writer.kill()
                Path(f"{path}-shm").unlink()
            elif log.startswith("folded"):
                writer.ask("c.close()")
            with contextlib.suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(512))
            with open_collection(path, mode="r") as collection:
                assert len(collection) == 3000
                assert collection.search(np.zeros((1, 8), np.uint8), 1).ids
        (disk / "fill").unlink()
        with open_collection(path) as collection:
            collection.check()
            collection.add(["late"], codes[:1])
            assert len(collection) == 3001
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_no_room_for_a_new_collection_leaves_no_file(tmp_path: Path, monkeypatch):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(CollectionError, match="space"):
            open_collection(tmp_path / "photos.h2q", n_bits=64)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_while_a_file_is_made_leaves_none(tmp_path: Path, filled: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    path = disk / "new.h2q"
    faults = []

    def copied() -> None:
        with open_collection(filled) as collection:
            collection.backup(path)

    def made() -> None:
        open_collection(path, n_bits=64).close()

    whole = filled.stat().st_size >> 10
    sizes_of_copies = (whole // 2, whole, whole + 16, 2 * whole + 200)
    for make, sizes in ((made, (48, 112, 150, 250)), (copied, sizes_of_copies)):
        for size in sizes:
            try:
                done = subprocess.run(
                    ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)],
                    capture_output=True,
                )
            except FileNotFoundError:
                pytest.skip("there is no mount command here")
            if done.returncode:
                pytest.skip("mounting is not permitted here")
            try:
                try:
                    make()
                except CollectionError as error:
                    faults.append(make)
                    assert "full" in str(error)  # noqa: PT017 (either outcome is right)
                    assert not list(disk.iterdir())
                    subprocess.run(["mount", "-o", "remount,size=9m", str(disk)], check=True)
                    make()
                with open_collection(path) as collection:
                    collection.check()
            finally:
                subprocess.run(["umount", "-l", str(disk)], check=True)
    assert faults.count(made) >= 2
    assert faults.count(copied) >= 2
