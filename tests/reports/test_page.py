from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from h2q.reports import Page


class Checker(HTMLParser):
    """Fails on tags that are not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def make() -> Page:
    page = Page("Title <b>", "sub")
    page.heading("One & two")
    page.text("first", "a < b")
    page.table(["name", "value"], [["<i>", 1], ["b", 2.5]], caption="c", strong=[1])
    page.picture(Image.new("RGB", (7, 5), (255, 0, 0)), alt='a "red" field', caption="red")
    page.preformatted("h2q --help\n  two")
    return page


def test_markup_is_sound_and_escaped() -> None:
    checker = Checker()
    checker.feed(make().html())
    assert checker.open == []
    for text in ("Title <b>", "One & two", "a < b", "<i>", "h2q --help\n  two"):
        assert text in checker.text
    assert "<b>" not in make().html()


def test_picture_is_inside_with_its_size() -> None:
    found = re.search(r'src="data:image/png;base64,([^"]+)" alt="a &quot;red', make().html())
    assert found is not None
    image = Image.open(io.BytesIO(base64.b64decode(found[1])))
    assert image.getpixel((3, 3)) == (255, 0, 0)
    assert 'width="7" height="5"' in make().html()


def test_asks_for_nothing_from_anywhere() -> None:
    page = make().html()
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)
    assert "default-src 'none'" in page


def test_written_whole(tmp_path: Path) -> None:
    path = make().write(tmp_path / "page.html")
    assert path.read_text(encoding="utf-8") == make().html()
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
