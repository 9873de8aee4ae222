"""The page over 3,030 real photos: dropped, pasted, by keyboard, on a phone, on the map."""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.serving.browser.conftest import CHROMIUM, HOSTILE, Open, index, opener, serving
from tests.serving.browser.using import lasso, names_in, serious, title, transfer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.shared]
SUNFLOWER = "?like=item%3As%3Asunflower%2Fimage_0001.jpg"


@pytest.fixture(scope="module")
def photos(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    folder = tmp_path_factory.mktemp("caltech")
    with tarfile.open(shared / "data" / "caltech101.tar") as archive:
        archive.extractall(folder, filter="data")
    (folder / "labels.csv").unlink()
    return folder


@pytest.fixture(scope="module")
def real_address(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    collection = tmp_path_factory.mktemp("real") / "photos.h2q"
    index(photos, collection)
    with serving(collection) as url:
        yield url


@pytest.fixture
def real_page(chromium: Any, real_address: str) -> Iterator[Open]:
    with opener(chromium, real_address) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def copies_address(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Some of the photos, three of them again: re-encoded, and under a hostile name."""
    folder = tmp_path_factory.mktemp("copies")
    for path in sorted((photos / "sunflower").glob("*.jpg")):
        (folder / path.name).write_bytes(path.read_bytes())
    for number in (3, 7, 9):
        with Image.open(folder / f"image_{number:04d}.jpg") as image:
            name = HOSTILE if number == 9 else f"again {number}.png"
            image.resize((image.width // 2, image.height // 2)).save(folder / name)
    collection = tmp_path_factory.mktemp("reviewed") / "copies.h2q"
    index(folder, collection)
    with serving(collection) as url:
        yield url


def kinds_in(page: Any) -> list[str]:
    """Return the folders of the items that are shown first."""
    page.locator(".cell .near").first.wait_for()
    return [
        str(near).rpartition(" · ")[2] for near in page.locator(".cell .near").all_inner_texts()
    ]


def test_photos_are_dropped_pasted_and_searched_with(real_page: Open, photos: Path) -> None:
    page = real_page()
    title(page, "3,030 items")
    photo = (photos / "sunflower" / "image_0001.jpg").read_bytes()
    data = transfer(page, base64.b64encode(photo).decode(), "image/jpeg", HOSTILE)
    page.dispatch_event("body", "drop", {"dataTransfer": data})
    title(page, "60 found")
    assert "image_0001.jpg" in names_in(page)[:5]  # the photo itself, whatever it is called
    assert kinds_in(page)[:15].count("sunflower") >= 12
    first = page.url
    photo = (photos / "stop_sign" / "image_0002.jpg").read_bytes()
    page.evaluate(
        "data => document.dispatchEvent(new ClipboardEvent('paste', "
        "{ clipboardData: data, bubbles: true }))",
        transfer(page, base64.b64encode(photo).decode(), "image/jpeg"),
    )
    page.wait_for_function("u => location.href !== u", arg=first)
    page.locator(".near", has_text="stop_sign").first.wait_for()
    assert kinds_in(page)[:15].count("stop_sign") >= 10
    page.go_back()
    page.locator(".near", has_text="sunflower").first.wait_for()
    assert page.url == first
    assert page.evaluate("window.hacked") is None


def test_thousands_go_by_keyboard_and_on_a_phone(real_page: Open) -> None:
    page = real_page("", 360, 740, has_touch=True, is_mobile=True, color_scheme="dark")
    title(page, "3,030 items")
    page.locator("button.frame").first.focus()
    page.keyboard.press("End")
    page.wait_for_function("() => document.activeElement.dataset.place === '3029'")
    page.locator(".cell img.loaded").first.wait_for()
    assert page.locator(".cell").count() < 40  # of which only those near the view exist
    page.keyboard.press("Enter")
    title(page, "60 found")
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 28)"
    assert serious(real_page(SUNFLOWER, 360, 740, bypass_csp=True)) == []


def test_a_search_lights_up_on_the_map_and_a_lasso_filters(real_page: Open) -> None:
    page = real_page(f"{SUNFLOWER}&view=map&map=pca")
    page.wait_for_selector(".map[data-count='3030'] canvas[data-engine]")
    title(page, "60 found")
    assert page.locator(".map").get_attribute("data-lit") == "60"
    page.locator(".chip button").click()
    title(page, "3,030 items")
    lasso(page)
    title(page, "in the lasso")
    count = int(page.locator("h1.title").inner_text().split()[0].replace(",", ""))
    assert 0 < count < 3030
    assert page.locator(".map").get_attribute("data-lit") == str(count)
    page.locator(".cell img.loaded").first.wait_for()


def test_copies_are_reviewed_by_keyboard_and_a_plan_is_made(
    chromium: Any, copies_address: str
) -> None:
    with opener(chromium, copies_address) as open_page:
        page = open_page("?view=duplicates")
        page.wait_for_selector(".group.now")
        page.get_by_role("button", name="same (3)").wait_for()
        page.keyboard.press("j")
        page.keyboard.press("x")  # of the second group, none
        page.get_by_role("button", name="Save plan for 2 photos").wait_for()
        page.keyboard.press("j")
        page.keyboard.press("2")
        with page.expect_download() as download:
            page.get_by_role("button", name="Save plan for 2 photos").click()
        assert len(json.loads(download.value.path().read_text())["moves"]) == 2
        assert page.evaluate("window.hacked") is None
