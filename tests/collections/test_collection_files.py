"""A file never meets the log or the cache of another, whatever is done to it by name."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from h2q import open_collection
from h2q.codes import pack
from h2q.collections.embedded import derived, lineage
from h2q.errors import CollectionError, FormatError, H2QError
from tests.collections.killed import Other

N = 3000


def codes(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 8), dtype=np.uint8)


def make(path: Path, name: str, n: int = N, seed: int = 0) -> Path:
    with open_collection(path, n_bits=64) as collection:
        collection.add([f"{name}{i}" for i in range(n)], codes(seed, n))
    return path


def sound(path: Path, name: str, n: int = N, seed: int = 0, late: tuple[str, ...] = ()) -> None:
    """The file at `path` holds what `make` put into it, and the items of `late`."""
    with open_collection(path) as collection:
        collection.check()
        ids = [f"{name}{i}" for i in range(n)]
        assert list(collection) == [*ids, *late]
        found = collection.get(ids)
        assert all(
            item is not None and (item.code == code).all()
            for item, code in zip(found, codes(seed, n), strict=True)
        )


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def killed_writer(path: Path, rounds: int = 1) -> None:
    """Write to a collection and be killed: with more rounds, after checkpoints."""
    with Other(path) as other:
        other.ask("c.delete([f'good{i}' for i in range(0, 3000, 2)])")
        for number in range(rounds):
            assert other.ask(f"add('bad{number} ', 1500, {number})") == "None"
        other.kill()
    assert Path(f"{path}-wal").stat().st_size


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / "photos.h2q", "good")


@pytest.fixture
def copy(path: Path, tmp_path: Path) -> Path:
    with open_collection(path) as collection:
        collection.backup(tmp_path / "yesterday.h2q")
    return tmp_path / "yesterday.h2q"


# What a killed writer left


@pytest.mark.parametrize("rounds", [1, 12])
def test_a_backup_put_over_the_log_of_a_killed_writer(path, copy, rounds):
    killed_writer(path, rounds)
    with open_collection(copy, mode="r") as collection:
        collection.backup(path, overwrite=True)
    assert names(path.parent) == ["photos.h2q", "yesterday.h2q"]
    sound(path, "good")


@pytest.mark.parametrize("how", ["mv", "cp", "cp of a closed file", "cp of another"])
@pytest.mark.parametrize("rounds", [1, 12])
def test_a_file_put_by_hand_over_the_log_of_a_killed_writer(path, copy, tmp_path, how, rounds):
    """Its log is set aside with a warning; a reader, which writes nothing, refuses."""
    if how == "cp of a closed file":
        shutil.copyfile(path, copy)
    elif how == "cp of another":
        copy.unlink()
        make(copy, "good", seed=5)
    if "closed" in how:  # or the log would continue just this state
        make(path, "between", 10)
    killed_writer(path, rounds)
    if how == "mv":
        copy.replace(path)
    else:
        shutil.copyfile(copy, path)
    with pytest.raises(
        CollectionError, match=r"photos\.h2q-wal.*another file.*for writing.*mode='r'"
    ):
        open_collection(path, mode="r")
    with pytest.warns(
        UserWarning, match=r"photos\.h2q-wal.*set aside as photos\.h2q-wal\.0\.aside"
    ):
        open_collection(path).close()
    sound(path, "good", seed=5 if how == "cp of another" else 0)
    assert lineage.of_log(Path(f"{path}-wal.0.aside")).frames


def test_the_log_that_belongs_to_a_file_is_used(path, tmp_path):
    """The two copied or moved together, and a checkpoint that the kill cut."""
    killed_writer(path, 3)
    (tmp_path / "there").mkdir()
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", tmp_path / "there" / f"other.h2q{suffix}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for file in (path, tmp_path / "there" / "other.h2q"):
            with open_collection(file, mode="r") as collection:
                collection.check()
                assert len(collection) == 1500 + 3 * 1500


def test_a_page_that_points_to_nothing_any_more_keeps_its_log(path):
    """Power lost in a checkpoint: of page 2 the head is of one state, the rest of another."""
    killed_writer(path)
    size = int.from_bytes(path.read_bytes()[16:18])
    with path.open("r+b") as file:
        file.seek(size + 8)
        pointers = file.read(2 * int.from_bytes(path.read_bytes()[size + 3 : size + 5]))
        file.seek(size + 8)
        file.write(bytes(len(pointers)))
    with open_collection(path) as collection:
        collection.check()
        assert len(collection) == 1500 + 1500
        collection.add(["more"], codes(9, 1))
    with open_collection(path, mode="r") as collection:
        assert "more" in collection
    # Another file's torn page does not have the row, and then nothing is done.
    killed_writer(path)
    with path.open("r+b") as file:
        file.seek(size + 8)
        file.write(bytes(size - 8))
    with pytest.raises(CollectionError, match="cannot be told"):
        open_collection(path)


def test_a_checkpoint_cut_at_any_page_keeps_its_log(path, tmp_path):
    """A killed checkpoint leaves some pages of the log in the file; the log still belongs to it."""
    killed_writer(path, 3)
    log, file = Path(f"{path}-wal").read_bytes(), path.read_bytes()
    size = int.from_bytes(log[8:12])
    newest: dict[int, bytes] = {}
    for start in range(32, len(log) - size - 23, size + 24):
        number = int.from_bytes(log[start : start + 4])
        newest[number] = log[start + 24 : start + 24 + size]
    there = tmp_path / "there"
    there.mkdir()
    order = sorted(newest)
    for cut in (0, 1, 2, 3, len(order) // 2, len(order)):
        for torn in (0, 512, 2048, size - 512):
            data = bytearray(file.ljust(max(order) * size, b"\0"))
            for number in order[:cut]:
                data[(number - 1) * size : number * size] = newest[number]
            if cut < len(order):  # and the loss of power has cut a page
                start = (order[cut] - 1) * size
                data[start : start + torn] = newest[order[cut]][:torn]
            (there / "p.h2q").write_bytes(data)
            (there / "p.h2q-wal").write_bytes(log)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with open_collection(there / "p.h2q") as collection:
                    collection.check()
                    assert len(collection) == 1500 + 3 * 1500


def test_a_new_collection_where_only_a_log_remains(path):
    killed_writer(path)
    path.unlink()
    with pytest.warns(UserWarning, match=r"set aside as photos\.h2q-wal\.0\.aside"):
        make(path, "new", 10)
    sound(path, "new", 10)
    assert names(path.parent) == ["photos.h2q", "photos.h2q-wal.0.aside"]


def test_a_journal_of_another_program_is_not_rolled_back(path):
    Path(f"{path}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(600))
    before = path.read_bytes()
    with pytest.raises(CollectionError, match=r"photos\.h2q-journal.*move it away"):
        open_collection(path)
    assert path.read_bytes() == before
    path.unlink()
    with pytest.warns(UserWarning, match=r"photos\.h2q-journal\.0\.aside"):
        make(path, "new", 10)
    sound(path, "new", 10)


# Others that have it open


def test_a_live_user_is_noticed_before_a_restore(path, copy):
    for mode in ("a", "r"):
        with Other(path, mode) as other:
            assert other.ask("len(c)") == str(N)
            with (
                open_collection(copy) as collection,
                pytest.raises(
                    CollectionError, match=f"photos.h2q: process {other.pid} has it open"
                ),
            ):
                collection.backup(path, overwrite=True)
            if mode == "a":
                assert other.ask("c.add(['late'], codes(1, 1))") == "None"
            assert other.ask("c.close()") == "None"
        if mode == "a":
            with open_collection(path) as collection:
                assert collection.delete(["late"]) == 1
    with (  # this process is one, too
        open_collection(path),
        open_collection(copy) as collection,
        pytest.raises(CollectionError, match="this process has it open"),
    ):
        collection.backup(path, overwrite=True)
    sound(path, "good")


@pytest.mark.parametrize("what", ["deleted", "renamed", "replaced"])
def test_moved_deleted_or_replaced_while_open(path, copy, tmp_path, what):
    """Later writes are refused; what was acknowledged before is in the file, wherever it is."""
    with open_collection(path) as collection:
        collection.add(["before"], codes(1, 1))
        if what == "deleted":
            path.unlink()
        elif what == "renamed":
            path.rename(tmp_path / "renamed.h2q")
        else:
            copy.replace(path)
        for _ in range(2):
            with pytest.raises(CollectionError, match=r"photos\.h2q: was (moved|replaced)"):
                collection.add(["late"], codes(1, 1))
        with pytest.raises(CollectionError, match=r"photos\.h2q: was (moved|replaced)"):
            collection.search(codes(1, 1), 1)
    assert not {"photos.h2q-wal", "photos.h2q-shm"} & set(names(tmp_path))
    if what == "renamed":
        sound(tmp_path / "renamed.h2q", "good", late=("before",))
    elif what == "replaced":
        sound(path, "good")


def test_a_name_whose_log_is_in_use_is_not_taken(path, copy, tmp_path):
    with Other(path) as other:
        other.ask("c.add(['before'], codes(1, 1))")
        path.rename(tmp_path / "renamed.h2q")
        with pytest.raises(CollectionError, match=f"process {other.pid} still has a file of this"):
            open_collection(path, n_bits=64)
        with pytest.raises(CollectionError, match=f"process {other.pid} has it open under another"):
            open_collection(tmp_path / "renamed.h2q")
        shutil.copyfile(copy, path)
        with pytest.raises(CollectionError, match=f"process {other.pid} still has open"):
            open_collection(path)
        assert "CollectionError" in other.ask("c.add(['late'], codes(1, 1))")
        assert other.ask("c.close()") == "None"
    sound(path, "good")
    sound(tmp_path / "renamed.h2q", "good", late=("before",))


@pytest.mark.parametrize("mode", ["a", "r"])
def test_overwritten_in_place_while_open(path, copy, tmp_path, mode):
    """By `cp`: it is an error at the next call, and the log does not get into the new content."""
    make(tmp_path / "other.h2q", "other")
    for source, name in (("other.h2q", "other"), ("yesterday.h2q", "good")):
        make(path, "between", 10)
        with Other(path, mode) as other:
            other.ask("c.search(codes(0, 1), 1)")
            other.ask("c.add(['before'], codes(1, 1))")
            shutil.copyfile(tmp_path / source, path)
            if mode == "a":
                with pytest.raises(CollectionError, match=f"while process {other.pid} has it open"):
                    open_collection(path)
            for call in ("c.search(codes(0, 1), 1)", "add('late', 1)", "len(c)"):
                if mode == "a" or "add" not in call:
                    assert "photos.h2q: was overwritten while it was open" in other.ask(call)
            assert other.ask("c.close()") == "None"
        sound(path, name)


def test_overwritten_in_place_and_closed_without_a_call(path, copy, tmp_path):
    with Other(path) as other:
        other.ask("add('before', 1000)")
        shutil.copyfile(copy, path)
        other.ask("[globals().pop('c'), __import__('gc').collect()][1]")
    sound(path, "good")


def test_a_log_deleted_while_open(path):
    """What it held is saved into the file; a later write is refused."""
    with open_collection(path) as collection:
        collection.add(["before"], codes(1, 1))
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink()
        with pytest.raises(CollectionError, match="lost its write-ahead log"):
            collection.add(["late"], codes(1, 1))
    sound(path, "good", late=("before",))


def test_the_locks_of_a_process_outlive_a_second_opening(path):
    """Closing any handle of a file ends a process's locks on it: nobody but SQLite may."""
    with open_collection(path) as collection:
        collection.add(["before"], codes(1, 1))
        open_collection(path, mode="r").close()
        with Other(path) as other:  # would take itself for the last, and remove the log
            other.ask("c.close()")
        collection.add(["late"], codes(1, 1))
    sound(path, "good", late=("before", "late"))


@pytest.mark.parametrize("theirs", [(), ("theirs",)])
def test_a_write_is_not_acknowledged_where_the_locks_were_lost(path, theirs):
    with open_collection(path) as collection:
        collection.add(["before"], codes(1, 1))
        path.open("rb").close()  # as a program that copies the file does
        with Other(path) as other:
            for name in theirs:
                other.ask(f"c.add([{name!r}], codes(1, 1))")
            other.ask("c.close()")
        with pytest.raises(CollectionError, match="lost its write-ahead log"):
            collection.add(["late"], codes(1, 1))
        with Other(path) as other:
            assert other.ask("c.add(['later'], codes(1, 1))") == "None"
            assert other.ask("c.close()") == "None"
    sound(path, "good", late=("before", *theirs, "later"))


# Names


def test_one_file_by_two_names(path, tmp_path):
    link = tmp_path / "link.h2q"
    link.symlink_to(path)
    with open_collection(link) as first, open_collection(path) as second:
        first.add(["one"], codes(1, 1))
        second.add(["two"], codes(1, 1))
        assert first.search(codes(1, 1), 2).ids == second.search(codes(1, 1), 2).ids
        assert not Path(f"{link}-wal").exists()
        with pytest.raises(CollectionError, match="is the collection itself"):
            first.backup(link, overwrite=True)
    sound(path, "good", late=("one", "two"))
    hard = tmp_path / "hard.h2q"
    with open_collection(path) as collection:
        collection.add(["three"], codes(1, 1))
        os.link(path, hard)
        with pytest.raises(CollectionError, match="already open in this process as"):
            open_collection(hard, mode="r")
        collection.add(["four"], codes(1, 1))
    for name in (path, hard):
        with pytest.raises(CollectionError, match=r"hard links.*copy the file"):
            open_collection(name)
    with open_collection(hard, mode="r") as collection:
        assert len(collection) == N + 4
    hard.unlink()
    sound(path, "good", late=("one", "two", "three", "four"))


def test_a_backup_replaces_what_a_link_leads_to(path, copy, tmp_path):
    make(tmp_path / "old.h2q", "old")
    link = tmp_path / "link.h2q"
    link.symlink_to("old.h2q")
    with open_collection(path) as collection:
        collection.backup(link, overwrite=True)
    assert link.is_symlink()
    sound(tmp_path / "old.h2q", "good")


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
def test_the_names_of_sqlite_are_not_taken(path, tmp_path, ending):
    with (
        open_collection(path) as collection,
        pytest.raises(CollectionError, match="another name"),
    ):
        collection.backup(f"{path}{ending}", overwrite=True)
    with pytest.raises(CollectionError, match="another name"):
        open_collection(tmp_path / f"new.h2q{ending}", n_bits=8)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo.h2q")
    with pytest.raises(FormatError, match="not a file"):
        open_collection(tmp_path / "fifo.h2q")
    (tmp_path / "loop.h2q").symlink_to("loop.h2q")
    with pytest.raises(H2QError, match=r"loop\.h2q"):
        open_collection(tmp_path / "loop.h2q", n_bits=8)
    (tmp_path / "dangling.h2q").symlink_to("target.h2q")
    make(tmp_path / "dangling.h2q", "x", 3)
    sound(tmp_path / "target.h2q", "x", 3)


# Caches


@pytest.mark.parametrize("mode", ["a", "r"])
@pytest.mark.parametrize("what", ["overwritten", "truncated"])
def test_a_cache_changed_in_place_while_it_is_in_use(tmp_path, monkeypatch, mode, what):
    monkeypatch.setattr(derived, "LEAST_CACHED", 1000)
    for seed, name in ((0, "a"), (1, "b")):
        make(tmp_path / name, name, seed=seed)
        with open_collection(tmp_path / name) as collection:
            collection.optimize()
    with Other(tmp_path / "a", mode) as other:
        expected = other.ask("c.search(codes(0, 1), 3).ids")
        assert expected.startswith("[['a0'")
        if what == "truncated":
            os.truncate(tmp_path / "a.cache", 100)
        else:
            shutil.copyfile(tmp_path / "b.cache", tmp_path / "a.cache")
        assert other.ask("c.search(codes(0, 1), 3).ids") == expected


# Handles and leftovers


def test_an_object_nobody_closed_keeps_no_handle(path):
    def handles() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not list the handles of a process")
    gc.collect()
    before = handles()
    for _ in range(20):
        for mode in ("a", "r"):
            collection = open_collection(path, mode=mode)
            collection.search(codes(0, 1), 1)
            next(iter(collection))
            del collection
    gc.collect()
    assert handles() == before
    assert names(path.parent) == ["photos.h2q"]


def test_what_a_killed_process_was_making_is_removed_at_the_next_opening(path, tmp_path):
    death = "lambda *_: __import__('os').kill(__import__('os').getpid(), 9)"
    code = f"c.backup({str(path)!r}, overwrite=True, on_progress={death})"
    other_path = make(tmp_path / "other.h2q", "other")
    with Other(other_path) as other:
        other.ask(code)
        assert names(tmp_path)[0] == ".photos.h2q.0.tmp"
        open_collection(path, mode="r").close()  # a reader changes nothing
        assert names(tmp_path)[0] == ".photos.h2q.0.tmp"
        sound(path, "good")
    assert names(tmp_path) == ["other.h2q", "other.h2q-shm", "other.h2q-wal", "photos.h2q"]


def test_what_a_live_process_is_making_is_left(path, tmp_path):
    with open_collection(path) as collection:
        seen = []

        def look(done: int, total: int) -> None:
            open_collection(tmp_path / "copy.h2q", n_bits=8).close()
            seen.append(names(tmp_path)[0])
            (tmp_path / "copy.h2q").unlink()

        collection.backup(tmp_path / "copy.h2q", on_progress=look)
        assert set(seen) == {".copy.h2q.0.tmp"}
    sound(tmp_path / "copy.h2q", "good")
    assert names(tmp_path) == ["copy.h2q", "photos.h2q"]


# Files of the first h2q, which have no lineage


def test_files_without_a_lineage_are_read_and_written(path):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DELETE FROM meta WHERE key = 'lineage'")
    connection.close()
    with Other(path, "r") as reader:
        assert reader.ask("len(c)") == str(N)
        killed_writer(path)
        assert reader.ask("len(c)") == "3000"
        with open_collection(path) as collection:
            collection.compact()
            assert len(collection) == 3000
        assert reader.ask("len(c)") == "3000"
    with open_collection(path) as collection:
        collection.add(["late"], pack(np.ones((1, 64))))


def test_the_chain_is_where_it_is_looked_for(path):
    """On page 2, before and after a compaction; each transaction adds a link."""
    with open_collection(path) as collection:
        log = lineage.of_log(Path(f"{path}-wal"))
        assert not log.frames
        for number in range(3):
            collection.add([number], codes(1, 1))
            collection.delete(["absent"])  # writes nothing, so no link
            chain = lineage.of_log(Path(f"{path}-wal")).chain
            assert len(chain) == number + 1
            assert all(b.before == a.token for a, b in pairwise(chain))
        handle = collection._guard.held.handle
        first = lineage.of_file(handle)
        assert first is not None
        assert first.token == chain[0].before
        collection.compact()
        last = lineage.of_file(handle)
        assert last is not None
        assert last.identity == first.identity
        assert last.before == chain[-1].token


# Logs and states that are damaged


@pytest.mark.parametrize("exactly", [False, True])
def test_no_log_of_any_length_or_page_size_is_more_than_refused(path, tmp_path, exactly):
    killed_writer(path)
    whole = Path(f"{path}-wal").read_bytes()
    log = tmp_path / "log"
    log.write_bytes(whole)
    frames = lineage.of_log(log, exactly).frames
    for length in [*range(64), *np.random.default_rng(0).integers(0, len(whole), 100)]:
        log.write_bytes(whole[:length])
        assert 0 <= lineage.of_log(log, exactly).frames <= frames
    for size in (0, 511, 513, 1000, 4095, 65535, 65537, 1 << 31):
        log.write_bytes(whole[:8] + size.to_bytes(4) + whole[12:])
        assert lineage.of_log(log, exactly).frames == 0


@pytest.mark.parametrize("last_row", [2**62 + 1, 2**63 - 1])
def test_a_state_at_the_end_of_all_rows_is_damage(path, last_row):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE state SET last_row = ?, removed = ? - 1", (last_row, last_row))
    connection.close()
    with pytest.raises(FormatError, match="damaged"), open_collection(path) as collection:
        collection.add(["late"], codes(1, 1))
