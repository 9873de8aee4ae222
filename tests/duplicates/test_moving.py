from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from h2q import open_collection
from h2q.duplicates.moving import MovePlan, apply_plan, read_plan, undo_moves
from h2q.duplicates.moving import files as module
from h2q.duplicates.moving.log import LOG_NAME, Entry, Log
from h2q.errors import FormatError, InvalidInputError
from h2q.ingest.photo_files import content_hash
from tests.duplicates.conftest import Photos

_MEMORY = Path("/dev/shm")  # noqa: S108


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another file system."""
    folder = _MEMORY / f"h2q-test-{os.getpid()}"
    if not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK):
        pytest.skip("there is no second file system to write to")
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def tree(*folders: Path) -> dict[str, str]:
    """Content of every photo below the folders, by name."""
    return {
        str(path): content_hash(path)
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".jsonl"
    }


def test_moves_and_moves_back(photos: Photos, plan: MovePlan, tmp_path: Path) -> None:
    before = tree(photos.folder)
    with open_collection(photos.uri, mode="r") as collection:
        items = {item_id: collection.get([item_id])[0] for item_id in collection}
    assert len(plan.moves) == 5  # the five copies of the level "same"
    to = tmp_path / "spare"
    report = apply_plan(plan, to)
    assert (report.moved, report.skipped) == (5, [])
    assert report.collection_note == "5 items left the collection"
    after = tree(photos.folder)
    assert sorted(tree(to).values()) == sorted(before[m.path] for m in plan.moves)
    assert set(before) - set(after) == {m.path for m in plan.moves}
    assert all((to / Path(m.path).relative_to(m.folder)).is_file() for m in plan.moves)
    with open_collection(photos.uri, mode="r") as collection:
        assert set(items) - set(collection) == {m.id for m in plan.moves}
    again = apply_plan(plan, to)
    assert (again.moved, again.before, again.skipped) == (0, 5, [])
    back = undo_moves(to)
    assert (back.moved, back.skipped) == (5, [])
    assert tree(photos.folder) == before
    assert tree(to) == {}
    assert list(to.iterdir()) == [back.log]  # nor a folder
    with open_collection(photos.uri, mode="r") as collection:
        for item_id, item in items.items():
            held = collection.get([item_id])[0]
            assert held is not None
            assert item is not None
            assert (held.code.tolist(), held.payload) == (item.code.tolist(), item.payload)
    assert undo_moves(to).moved == 0
    assert apply_plan(plan, to).moved == 5


def test_what_changed_is_left_alone(photos: Photos, plan: MovePlan, tmp_path: Path) -> None:
    changed, keep_gone, keep_changed, gone, fine = plan.moves
    Path(changed.path).write_bytes(b"edited since")
    Path(keep_gone.keep).unlink()
    Path(keep_changed.keep).write_bytes(b"edited since")
    Path(gone.path).unlink()
    report = apply_plan(plan, tmp_path / "spare")
    assert report.moved == 1
    assert not Path(fine.path).exists()
    reasons = dict(report.skipped)
    assert "has changed" in reasons[changed.path]
    assert "is not there" in reasons[keep_gone.path]
    assert "has changed" in reasons[keep_changed.path]
    assert "is not there" in reasons[gone.path]
    assert Path(changed.path).read_bytes() == b"edited since"


def test_links_to_the_kept_photo_never_lose_it(
    photos: Photos, plan: MovePlan, tmp_path: Path
) -> None:
    hard, soft, turned_round, *_ = plan.moves
    for move, link in ((hard, os.link), (soft, os.symlink)):
        Path(move.path).unlink()
        link(move.keep, move.path)
    Path(turned_round.keep).unlink()
    Path(turned_round.keep).symlink_to(turned_round.path)
    moves = [
        replace(hard, sha256=hard.keep_sha256),
        replace(soft, sha256=soft.keep_sha256),
        replace(turned_round, keep_sha256=turned_round.sha256),
    ]
    before = tree(photos.folder)
    report = apply_plan(replace(plan, moves=moves), tmp_path / "spare")
    assert report.moved == 0
    assert all("same file" in why or "is a link" in why for _, why in report.skipped)
    assert tree(photos.folder) == before


def test_a_taken_name_is_never_overwritten(photos: Photos, plan: MovePlan, tmp_path: Path) -> None:
    to = tmp_path / "spare"
    for move in plan.moves:
        there = to / Path(move.path).relative_to(move.folder)
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes(b"somebody else's")
    assert apply_plan(plan, to).moved == 5
    assert sum(path.read_bytes() == b"somebody else's" for path in to.rglob("*.*")) == 5
    assert sum(" (2)" in path.name for path in to.rglob("*.*")) == 5
    taken = Path(plan.moves[0].path)
    taken.write_bytes(b"new since")
    back = undo_moves(to)
    assert (back.moved, len(back.skipped)) == (4, 1)
    assert "is there again" in back.skipped[0][1]
    assert taken.read_bytes() == b"new since"


def kill_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work` in a process of its own and kill it at a step; whether it was."""
    child = os.fork()
    if child == 0:
        steps = 0

        def watched(function: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **options: object) -> object:
                nonlocal steps
                steps += 1
                if steps == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **options)

            return call

        # Before each of the calls by which something on the disk becomes different.
        os.fsync = watched(os.fsync)  # type: ignore[assignment]
        os.open = watched(os.open)  # type: ignore[assignment]
        for name in ("replace", "unlink", "open"):
            setattr(Path, name, watched(getattr(Path, name)))
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("other_file_system", [False, True])
def test_killed_at_any_step_nothing_is_lost(
    photos: Photos,
    plan: MovePlan,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    other_file_system: bool,
) -> None:
    to = tmp_path / "spare"
    if other_file_system:
        to = request.getfixturevalue("elsewhere") / "spare"
        if to.parent.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is no second file system")
    plan = replace(plan, moves=plan.moves[:2])
    before = tree(photos.folder)
    contents = sorted(before.values())
    for step in range(1, 200):
        killed = kill_at(step, lambda: apply_plan(plan, to))
        assert set(contents) <= set(tree(photos.folder, to).values()), step
        if not killed:
            break
        if step % 2:  # gone on with, or taken back
            report = apply_plan(plan, to)
            assert report.moved + report.before == 2
            assert sorted(tree(photos.folder, to).values()) == contents
        killed = kill_at(step // 2 + 1, lambda: undo_moves(to))
        assert set(contents) <= set(tree(photos.folder, to).values()), step
        if to.exists():
            undo_moves(to)
        assert tree(photos.folder) == before, step
        assert tree(to) == {}, step
    assert step > 20
    with open_collection(photos.uri, mode="r") as collection:
        assert len(collection) == 19


def test_a_copy_that_went_wrong_leaves_the_original(
    photos: Photos, plan: MovePlan, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if elsewhere.stat().st_dev == photos.folder.stat().st_dev:
        pytest.skip("there is no second file system")
    before = tree(photos.folder)

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.shutil, "copyfileobj", full)
    report = apply_plan(plan, elsewhere)
    assert report.moved == 0
    assert {why for _, why in report.skipped} == {"No space left on device"}
    assert tree(photos.folder) == before
    assert tree(elsewhere) == {}


def test_a_folder_that_is_indexed_is_no_place_to_move_to(photos: Photos, plan: MovePlan) -> None:
    with pytest.raises(InvalidInputError, match="is indexed"):
        apply_plan(plan, photos.folder / "spare")


def test_a_collection_that_is_gone_is_said(photos: Photos, plan: MovePlan, tmp_path: Path) -> None:
    Path(photos.uri).unlink()
    report = apply_plan(plan, tmp_path / "spare")
    assert report.moved == 5
    assert "h2q index" in report.collection_note
    assert "h2q index" in undo_moves(tmp_path / "spare").collection_note


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "else"}, "is no plan"),
        ({"format_version": 99}, "version 99"),
        ({"moves": 3}, "lacks its moves"),
        ({"moves": [{"path": "x"}]}, "fields"),
    ],
)
def test_a_file_that_is_no_plan(
    plan: MovePlan, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(FormatError, match=message):
        read_plan(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("path", "relative.jpg"), ("path", "/a/../etc/passwd"), ("keep", "/a\0b"), ("sha256", "00"),
        ("folder", 3), ("id", None),
    ],
)  # fmt: skip
def test_a_plan_that_asks_for_what_none_asks_for(
    plan: MovePlan, tmp_path: Path, field: str, value: object
) -> None:
    path = tmp_path / "plan.json"
    document = json.loads(path.read_text())
    document["moves"][0][field] = value
    path.write_text(json.dumps(document))
    with pytest.raises(FormatError, match="move 1"):
        read_plan(path)


def test_a_photo_is_not_both_kept_and_moved(plan: MovePlan, tmp_path: Path) -> None:
    first, second, *_ = plan.moves
    replace(plan, moves=[first, replace(second, keep=first.path)]).write(tmp_path / "p.json")
    with pytest.raises(FormatError, match="to be kept and to be moved"):
        read_plan(tmp_path / "p.json")


def test_a_log_that_was_cut_off_is_gone_on_with(
    photos: Photos, plan: MovePlan, tmp_path: Path
) -> None:
    before = tree(photos.folder)
    to = tmp_path / "spare"
    log = apply_plan(plan, to).log
    with log.open("ab") as file:
        file.write(b'{"number": 1, "sta')
    assert undo_moves(log).moved == 5
    assert tree(photos.folder) == before
    with pytest.raises(FormatError, match="no log"):
        undo_moves(tmp_path / "plan.json")


def test_a_log_that_a_full_disk_cut_off_is_a_fresh_start(
    photos: Photos, plan: MovePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tree(photos.folder)
    to = tmp_path / "spare"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("h2q._files.synchronise", full)
        with pytest.raises(OSError, match="No space"):
            apply_plan(plan, to)
    assert not to.exists()
    to.mkdir()
    log = to / LOG_NAME
    for cut in (b"", b'{"format": "h2q'):
        log.write_bytes(cut)
        assert undo_moves(to).moved == 0
        log.write_bytes(cut)
        assert apply_plan(plan, to).moved == 5
        assert undo_moves(to).moved == 5
        assert tree(photos.folder) == before


def test_half_a_line_of_a_full_disk_spoils_no_log(
    plan: MovePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / LOG_NAME
    move = plan.moves[0]
    entry = Entry(1, move.path, "t", move.sha256, move.id, plan.collection, None, None)
    with Log(path, create=True) as log:
        with monkeypatch.context() as disk:
            disk.setattr("h2q.duplicates.moving.log.os.fsync", full)
            with pytest.raises(OSError, match="No space"):
                log.begin(entry)
        log.begin(replace(entry, number=2))
    with Log(path) as log:
        assert list(log.entries) == [2]
