"""Duplicates are found in the background, and what a person chose becomes a plan."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from h2q.codes import pack
from h2q.collections import Collection
from h2q.duplicates.moving.plan import read_plan
from tests.serving.conftest import N_BITS, Client

pytest.importorskip("imagehash")


def facts(path: Path, folder: Path) -> dict[str, Any]:
    status = path.stat()
    return {
        "folder": str(folder),
        "path": path.relative_to(folder).as_posix(),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


@pytest.fixture
def copied(collection: Collection, photos: Path) -> Collection:
    shutil.copy(photos / "cats/01.png", photos / "cats/copy.png")
    paths = sorted(photos.glob("*/*.png"))
    codes = pack(np.random.default_rng(3).normal(size=(len(paths), N_BITS)))
    collection.delete(list(collection))
    ids = [path.relative_to(photos).as_posix() for path in paths]
    collection.add(ids, codes, [facts(path, photos) for path in paths])
    return collection


def found(client: TestClient) -> dict[str, Any]:
    for _ in range(300):
        answer: dict[str, Any] = client.get("/api/v1/duplicates").json()
        if answer["ready"]:
            return answer
        time.sleep(0.1)
    raise AssertionError("no answer in half a minute")


def test_a_copy_is_found_and_planned(
    client_of: Client, copied: Collection, photos: Path, tmp_path: Path
) -> None:
    client = client_of()
    answer = found(client)
    same = [group for group in answer["groups"] if group["level"] == "same"]
    assert [{m["id"] for m in group["members"]} for group in same] == [
        {"cats/01.png", "cats/copy.png"}
    ]
    keep, move = (member["key"] for member in same[0]["members"])
    plan = client.post(
        "/api/v1/duplicates/plan", json={"chosen": [{"keep": keep, "move": [move]}]}
    ).json()
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan))
    (one,) = read_plan(path).moves
    assert {one.path, one.keep} == {str(photos / "cats/01.png"), str(photos / "cats/copy.png")}
    assert one.path.endswith(move[2:])


def test_only_what_shows_the_same_picture_can_be_planned(
    client_of: Client, copied: Collection
) -> None:
    client = client_of()
    found(client)
    for chosen in (
        [{"keep": "s:cats/01.png", "move": ["s:dogs/02.png"]}],
        [{"keep": "s:cats/01.png", "move": ["s:cats/01.png"]}],
        [{"keep": "s:cats/01.png", "move": ["s:absent"]}],
        [
            {"keep": "s:cats/01.png", "move": ["s:cats/copy.png"]},
            {"keep": "s:cats/copy.png", "move": ["s:cats/01.png"]},
        ],
        [{"keep": "s:cats/01.png", "move": ["s:cats/copy.png", "s:cats/copy.png"]}],
    ):
        answer = client.post("/api/v1/duplicates/plan", json={"chosen": chosen})
        assert answer.status_code == 422, answer.json()
