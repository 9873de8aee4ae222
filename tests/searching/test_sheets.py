from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q.errors import InvalidInputError
from h2q.searching import Hit, Result, draw_sheet
from h2q.searching.sheets import result_page, result_sheet


@pytest.fixture
def result(tmp_path: Path) -> Result:
    names = ["ein & <b>zwei.png", "写真 🐈.png", "L'été.png"]
    hits = []
    for i, name in enumerate(names):
        Image.new("RGB", (30 + i, 20), (80 * i, 200, 30)).save(tmp_path / name)
        payload = {"folder": str(tmp_path), "path": name, "taken": "2024-06-01T10:00:00",
                   "width": 30 + i, "height": 20}  # fmt: skip
        hits.append(Hit(name, i, None, payload))
    hits.append(Hit("gone.png", 9, 1.5, {"folder": str(tmp_path), "path": "gone.png"}))
    return Result(str(tmp_path / names[0]), hits, (tmp_path / names[0],))


def test_a_page_needs_nothing_beside_it(result: Result, tmp_path: Path) -> None:
    draw_sheet(result, tmp_path / "found.html")
    page = (tmp_path / "found.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", page)
    assert "ein &amp; &lt;b&gt;zwei.png" in page
    assert "<b>zwei" not in page
    assert "写真 🐈.png" in page
    assert "2 bits" in page
    assert "2024-06-01" in page
    pictures = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", page)]
    assert [Image.open(io.BytesIO(data)).size for data in pictures] == [
        (30, 20),
        (30, 20),
        (31, 20),
        (32, 20),
    ]
    assert page.count("no picture") == 1


def test_a_sheet_shows_query_and_neighbours(result: Result, tmp_path: Path) -> None:
    draw_sheet(result, tmp_path / "found.png")
    pixels = np.asarray(Image.open(tmp_path / "found.png")).reshape(-1, 3)
    colours = {tuple(pixel) for pixel in pixels.tolist()}
    assert {(0, 200, 30), (80, 200, 30), (160, 200, 30), (26, 115, 232)} <= colours


def test_without_a_picture_of_the_query_the_title_says_it(result: Result) -> None:
    words = Result("“a cat”", result.hits)
    assert result_sheet(words).width < result_sheet(result).width
    assert "“a cat”" in result_page(words)


def test_what_cannot_be_drawn_says_so(result: Result, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"\.png, \.jpg, \.webp or \.html"):
        draw_sheet(result, tmp_path / "found.pdf")
    codes = Result("q", [Hit("a", 1, None, None)])
    for draw in (result_sheet, result_page):
        with pytest.raises(InvalidInputError, match="did not come from photos"):
            draw(codes)
    assert not list(tmp_path.glob("found*"))
