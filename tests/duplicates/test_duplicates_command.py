from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from h2q import open_collection
from h2q.duplicates import duplicates_in
from h2q.reports.duplicates import MOST_TILES, duplicates_page
from tests.duplicates.conftest import Photos

Run = Callable[..., Any]


def test_copies_of_photos_are_found_as_groups(h2q: Run, photos: Photos, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = h2q("duplicates", photos.uri, "--radius", 4, "--out", out, "--json")
    assert outcome.code == 0, outcome
    facts = json.loads(outcome.out)
    found = [{item["id"] for item in group["items"]} for group in facts["shown"]]
    assert sorted(map(sorted, found)) == sorted(map(sorted, photos.groups))
    assert facts["groups"] == len(photos.groups) == 6
    assert facts["compared"] == 12 + 18
    assert facts["spare"] == 18
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == page.count('src="data:image/jpeg;base64,') == 6
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)  # stands alone
    with (out / "groups.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"] for row in rows} == set().union(*photos.groups)
    assert all(Path(row["path"]) == photos.folder / row["id"] for row in rows)
    assert [int(rows[0][name]) for name in ("group", "distance")] == [1, 0]


def test_missing_and_unreadable_photos_are_shown_as_such(
    photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos.folder / "copies/crop00_jpeg.jpg").unlink()
    (photos.folder / "copies/crop02_jpeg.jpg").write_bytes(b"no picture")
    captions: dict[str, str] = {}
    import h2q.reports.duplicates as module

    draw = module.contact_sheet

    def watch(tiles: Any, *, query: Any, **options: Any) -> Any:
        for tile in [query, *tiles]:
            captions[tile.caption.splitlines()[1]] = tile.caption.splitlines()[-1]
            assert (tile.image is None) == (tile.caption.count("\n") == 2)
        return draw(tiles, query=query, **options)

    monkeypatch.setattr(module, "contact_sheet", watch)
    with open_collection(photos.uri, mode="r") as collection:
        duplicates_page(collection, duplicates_in(collection, 4))
    assert captions["copies/crop00_jpeg.jpg"] == "file is missing"
    assert captions["copies/crop02_jpeg.jpg"] == "cannot be read"
    assert captions["copies/crop04_jpeg.jpg"] == "copies/crop04_jpeg.jpg"


def test_items_that_are_no_photos_are_listed(h2q: Run, tmp_path: Path) -> None:
    uri = str(tmp_path / "items.h2q")
    codes = np.zeros((MOST_TILES + 20, 2), np.uint8)
    codes[-1] = 255
    codes[-2] = [128, 0]
    with open_collection(uri, n_bits=16) as collection:
        collection.add(list(range(len(codes))), codes, [{"even": i % 2 == 0} for i in range(36)])
    outcome = h2q("duplicates", uri, "-r", 1, "-o", tmp_path / "out")
    assert outcome.code == 0, outcome
    assert "groups within 1 bits: 1; items to spare: 34 of 36" in outcome.out
    assert "0, 1, 2, 3, and 31 more" in outcome.out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<img" not in page
    assert f"{MOST_TILES} of 35 items" in page
    assert "<td>34</td><td>1 bit</td>" in page
    half = h2q("duplicates", uri, "-r", 0, "--where", "even=true", "--json")
    assert json.loads(half.out)["compared"] == 18
    assert json.loads(half.out)["pairs_at"] == [17 * 16 // 2]  # 34 of 0..35 is the one bit away


def test_nothing_is_near(h2q: Run, tmp_path: Path) -> None:
    uri = str(tmp_path / "items.h2q")
    with open_collection(uri, n_bits=16) as collection:
        collection.add(["a", "b"], np.array([[0, 0], [255, 255]], np.uint8))
    outcome = h2q("duplicates", uri, "--out", tmp_path / "out")
    assert outcome.code == 0
    assert "no two of 2 items are within 2 bits" in outcome.out
    assert (tmp_path / "out" / "groups.csv").read_text().strip() == "group,id,distance,path"


def test_order_and_limit(h2q: Run, tmp_path: Path) -> None:
    uri = str(tmp_path / "items.h2q")
    codes = np.array([[0, 0], [0, 1], [0, 3], [255, 0], [255, 0]], np.uint8)
    with open_collection(uri, n_bits=16) as collection:
        collection.add(list("abcde"), codes)
    for order, first in (("largest", ["a", "b", "c"]), ("tightest", ["d", "e"])):
        outcome = h2q("duplicates", uri, "-r", 1, "--order", order, "--limit", 1, "--json")
        facts = json.loads(outcome.out)
        assert [item["id"] for item in facts["shown"][0]["items"]] == first
        assert (len(facts["shown"]), facts["groups"]) == (1, 2)


def test_no_collection_is_an_error(h2q: Run, tmp_path: Path) -> None:
    outcome = h2q("duplicates", tmp_path / "absent.h2q", "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "absent.h2q" in outcome.err
    assert not (tmp_path / "out").exists()
