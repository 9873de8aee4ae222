"""A collection of photos in which some are copies of others."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from h2q import open_collection
from h2q.duplicates import find_duplicates
from h2q.duplicates.moving import MovePlan, make_move_plan, read_plan
from tests.cli.conftest import h2q
from tests.duplicates.photo_copies import index, write_originals_and_copies

__all__ = ["h2q", "made", "photos", "plan"]


@dataclass(frozen=True)
class Photos:
    """The collection, the folder, and of each copy how it was made and of what."""

    uri: str
    folder: Path
    truth: dict[str, tuple[str, str]]


@dataclass(frozen=True)
class _Made:
    folder: Path
    uri: str
    truth: dict[str, tuple[str, str]]
    plan: MovePlan


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> _Made:
    """The photos, indexed, looked at and searched once."""
    base = tmp_path_factory.mktemp("made")
    folder, uri = base / "photos", str(base / "photos.h2q")
    truth = write_originals_and_copies(folder)
    index(folder, uri)
    return _Made(folder, uri, truth, make_move_plan(find_duplicates(uri)))


@pytest.fixture
def photos(made: _Made, tmp_path: Path) -> Photos:
    """A copy of it all that a test may change."""
    folder, uri = tmp_path / "photos", str(tmp_path / "photos.h2q")
    shutil.copytree(made.folder, folder)  # with the times of change
    shutil.copyfile(made.uri, uri)
    shutil.copyfile(f"{made.uri}.looks", f"{uri}.looks")
    with open_collection(uri) as collection:
        batch = next(collection.iterate())
        payloads = [{**(payload or {}), "folder": str(folder)} for payload in batch.payloads]
        collection.add(batch.ids, batch.codes, payloads)
    return Photos(uri, folder, made.truth)


@pytest.fixture
def plan(made: _Made, photos: Photos, tmp_path: Path) -> MovePlan:
    """The plan for them, written to `plan.json` and read again."""
    moves = [
        replace(
            move,
            path=move.path.replace(str(made.folder), str(photos.folder)),
            folder=str(photos.folder),
            keep=move.keep.replace(str(made.folder), str(photos.folder)),
        )
        for move in made.plan.moves
    ]
    MovePlan(photos.uri, moves).write(tmp_path / "plan.json")
    return read_plan(tmp_path / "plan.json")
