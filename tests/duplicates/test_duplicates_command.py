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
from h2q.duplicates import find_duplicates
from h2q.reports.duplicates import MOST_CARDS, duplicates_page
from tests.duplicates.conftest import Photos
from tests.duplicates.photo_copies import KINDS, index, photographs

Run = Callable[..., Any]


def test_copies_of_photos_are_found_as_groups(h2q: Run, photos: Photos, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = h2q("duplicates", photos.uri, "--radius", 4, "--out", out, "--json")
    assert outcome.code == 0, outcome
    facts = json.loads(outcome.out)
    found = {
        (group["level"], frozenset(item["id"] for item in group["items"]))
        for group in facts["groups"]
    }
    for copy, (kind, original) in photos.truth.items():
        assert (KINDS[kind][0], frozenset([copy, original])) in found
    assert (facts["verified"], facts["compared"], facts["spare"]) == (True, 21, 5)
    kept = [group for group in facts["groups"] if group["level"] == "same"]
    assert all(group["keep"] == group["items"][0]["id"] and group["why"] for group in kept)
    assert {"date", "size", "width", "height", "path"} <= set(kept[0]["items"][0])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == page.count('src="data:image/jpeg;base64,') >= 18
    assert not re.search(r"""(?:src|href)=["'](?!data:)""", page)  # stands alone
    with (out / "groups.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["id"] for row in rows} >= {*photos.truth, *(o for _, o in photos.truth.values())}
    assert all(Path(row["path"]) == photos.folder / row["id"] for row in rows)
    assert (rows[0]["group"], rows[0]["level"], rows[0]["keep"]) == ("1", "same", "yes")


def test_plan_apply_and_undo_from_the_command_line(
    h2q: Run, photos: Photos, tmp_path: Path
) -> None:
    plan, to = tmp_path / "plan.json", tmp_path / "spare"
    outcome = h2q("duplicates", photos.uri, "--plan", plan, "--protect", photos.folder / "copies")
    assert outcome.code == 0, outcome
    assert "1 moves" in outcome.err
    assert h2q("duplicates", photos.uri, "--plan", plan).code == 0
    outcome = h2q("duplicates", "apply", plan, "--to", to)
    assert outcome.code == 0, outcome
    assert "5 photos moved" in outcome.out
    assert "5 items left the collection" in outcome.out
    outcome = h2q("duplicates", "undo", to, "--json")
    assert json.loads(outcome.out)["moved"] == 5
    (photos.folder / "photo00.png").unlink()
    outcome = h2q("duplicates", "apply", plan, "--to", to)
    assert outcome.code == 3
    assert "left where it is" in outcome.err
    assert h2q("duplicates", "apply", tmp_path / "none.json", "--to", to).code == 1


def test_unreadable_photos_are_shown_as_such(photos: Photos) -> None:
    found = find_duplicates(photos.uri)
    (photos.folder / "copies/jpeg60.jpg").unlink()
    page = duplicates_page(found).html()
    assert page.count("cannot be read") == 1


def test_hostile_names_stay_text(h2q: Run, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    names = ['<img src=x onerror="alert(1)">.png', "a\u202egnp.exe.png", "new\nline & 'quote'.png"]
    for name in names:
        photographs()[0].save(folder / name)
    index(folder, str(tmp_path / "c.h2q"))
    outcome = h2q("duplicates", tmp_path / "c.h2q", "--out", tmp_path / "page.html")
    assert outcome.code == 0, outcome
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count("<img") == page.count('<img src="data:') == 3
    assert "&lt;img src=x onerror=&quot;" in page
    assert "\u202e" not in page
    assert "new\ufffdline &amp; &#x27;quote&#x27;.png" in page


def test_items_that_are_no_photos_are_listed(h2q: Run, tmp_path: Path) -> None:
    uri = str(tmp_path / "items.h2q")
    codes = np.zeros((MOST_CARDS + 20, 2), np.uint8)
    codes[-1] = 255
    codes[-2] = [128, 0]
    with open_collection(uri, n_bits=16) as collection:
        collection.add(list(range(32)), codes, [{"even": i % 2 == 0} for i in range(32)])
    outcome = h2q("duplicates", uri, "-r", 1, "-o", tmp_path / "out")
    assert outcome.code == 0, outcome
    assert "cannot verify all: 32 items are no photos" in outcome.err
    assert "related (codes within 1 bits, not verified): 1 group\n" in outcome.out
    assert "0, 1, 2, 3, and 27 more" in outcome.out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<img" not in page
    assert f"31 items, the first {MOST_CARDS} shown" in page
    half = json.loads(h2q("duplicates", uri, "-r", 0, "--where", "even=true", "--json").out)
    assert (half["compared"], half["verified"], half["groups"][0]["level"]) == (
        16,
        False,
        "related",
    )
    assert len(half["groups"][0]["items"]) == 15  # 30 of 0..31 is the one bit away


def test_nothing_is_near(h2q: Run, tmp_path: Path) -> None:
    uri = str(tmp_path / "items.h2q")
    with open_collection(uri, n_bits=16) as collection:
        collection.add(["a", "b"], np.array([[0, 0], [255, 255]], np.uint8))
    outcome = h2q("duplicates", uri, "--out", tmp_path / "table.csv")
    assert outcome.code == 0
    assert "nothing alike among 2 items" in outcome.out
    assert (tmp_path / "table.csv").read_text().count("\n") == 1


@pytest.mark.parametrize("args", [["absent.h2q"], ["find", "absent.h2q"]])
def test_no_collection_is_an_error(h2q: Run, tmp_path: Path, args: list[str]) -> None:
    outcome = h2q("duplicates", *args[:-1], tmp_path / args[-1], "--out", tmp_path / "out")
    assert outcome.code == 1
    assert "absent.h2q" in outcome.err
    assert not (tmp_path / "out").exists()
