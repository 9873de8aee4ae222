"""A folder compared with what is stored of it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from h2q.collections import open_collection
from h2q.ingest.listing import list_photos
from h2q.ingest.plan import make_plan

NAMES = [
    "a.jpg", "a/1.jpg", "a/2.jpg", 'quote".jpg', "back\\slash.jpg", "line\nbreak.jpg", "é/ü.jpg",
    "猫.jpg", "esc\x1b.jpg", 'a","folder":"x","size":0,"mtime_ns":1,.jpg', "z z.jpg", "b/c/d.jpg",
    os.fsdecode(b"latin\xe9.jpg"),
]  # fmt: skip


@pytest.mark.parametrize("prefix", ["", "mine"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_what_is_stored_and_unchanged_is_known_whatever_its_name(tmp_path: Path, prefix, shuffled):
    folder = tmp_path / 'photos "of" é'
    for i, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x" * i)
    listing = list_photos(folder)
    files = listing.files(prefix)
    stored = [(file.id, {**file.payload("0" * 64, {"width": 3}), "n": 1}) for file in files]
    stored.insert(5, (7, {"folder": str(folder)}))
    stored.insert(2, ("from elsewhere", {"path": "x.jpg", "folder": "/other", "size": 1}))
    stored.insert(1, ("bare", None))
    if shuffled:
        stored = [stored[i] for i in np.random.default_rng(0).permutation(len(stored))]
    with open_collection(tmp_path / "c.h2q", n_bits=8) as collection:
        ids, payloads = zip(*stored, strict=True)
        collection.add(list(ids), np.zeros((len(ids), 1), np.uint8), list(payloads))
        plan = make_plan(collection, listing, prefix)
        assert (plan.unchanged, plan.new, plan.changed, plan.gone) == (len(NAMES), [], [], [])
        (folder / "a/2.jpg").write_bytes(b"other")
        (folder / "z z.jpg").unlink()
        (folder / "new.jpg").touch()
        plan = make_plan(collection, list_photos(folder), prefix)
        begin = f"{prefix}/" if prefix else ""
        assert plan.unchanged == len(NAMES) - 2
        assert [file.id for file in plan.new] == [f"{begin}new.jpg"]
        assert [file.id for file in plan.changed] == [f"{begin}a/2.jpg"]
        assert plan.gone == [f"{begin}z z.jpg"]


def test_keys_of_a_payload_may_come_in_any_order(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").touch()
    listing = list_photos(tmp_path / "photos")
    (file,) = listing.files()
    payload = dict(sorted(file.payload("0" * 64, {}).items(), reverse=True))
    with open_collection(tmp_path / "c.h2q", n_bits=8) as collection:
        collection.add([file.id], np.zeros((1, 1), np.uint8), [payload])
        assert make_plan(collection, listing).unchanged == 1
