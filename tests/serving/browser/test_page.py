"""The page, as people use it: by mouse, by keyboard, by dropping and pasting, on any screen."""

from __future__ import annotations

import base64
import csv
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.serving.browser.conftest import FORMULA, HOSTILE, scene
from tests.serving.browser.using import lasso, names_in, png, serious, title, transfer

pytestmark = pytest.mark.browser
RED = "?like=item%3As%3Ared%2Fred+05.png"


def test_one_click_searches_and_the_address_keeps_it(page_of, address):
    page = page_of()
    title(page, "73 items")
    page.get_by_role("button", name="blue/blue 03.png").first.click()
    title(page, "found")
    assert "like=item" in page.url
    assert "blue 03" in page.locator(".chip").inner_text()
    names = names_in(page)
    assert page.locator(".cell .near").first.inner_text().split()[1].startswith("bit")
    assert "blue 03.png" not in names
    assert sum(name.startswith(("blue", "copy")) for name in names[:10]) >= 6
    before = page.url
    page.locator(".cell .frame").first.click()
    page.wait_for_function("u => location.href !== u", arg=before)
    page.go_back()
    page.wait_for_function("() => document.querySelector('.chip')?.textContent.includes('blue 03')")
    page.go_back()
    title(page, "73 items")
    page.go_forward()
    title(page, "found")
    shared = page_of(page.url.removeprefix(address))
    title(shared, "found")
    assert names_in(shared)[:5] == names[:5]


def test_a_dropped_photo_is_searched_with(page_of):
    page = page_of()
    data = transfer(page, png(200, 2))
    page.dispatch_event("body", "dragover", {"dataTransfer": data})
    page.wait_for_selector(".drop")
    page.dispatch_event("body", "drop", {"dataTransfer": data})
    title(page, "found")
    assert page.locator(".drop").count() == 0
    assert "like=photo" in page.url
    names = names_in(page)[:10]
    assert sum(name.startswith(("blue", "copy")) for name in names) >= 6
    page.reload()  # the server keeps the photo for the address
    title(page, "found")
    assert names_in(page)[:10] == names


def test_a_pasted_photo_is_searched_with(page_of):
    page = page_of()
    page.evaluate(
        "data => document.dispatchEvent(new ClipboardEvent('paste', "
        "{ clipboardData: data, bubbles: true }))",
        transfer(page, png(5, 1)),
    )
    title(page, "found")
    assert names_in(page)[0] == "green 05.png"
    assert page.locator(".cell .near").first.inner_text().startswith("0 bits")


def test_a_chosen_photo_is_searched_with(page_of, tmp_path):
    scene(5, 2).save(tmp_path / "same.png")
    page = page_of()
    page.locator("input[type=file]").set_input_files(tmp_path / "same.png")
    title(page, "found")
    assert page.locator(".cell .near").first.inner_text().startswith("0 bits")


def test_what_is_no_photo_is_said(page_of):
    page = page_of()
    text = base64.b64encode(b"not a picture").decode()
    for kind, name in (("text/plain", "notes.txt"), ("image/png", "broken.png")):
        data = transfer(page, text, kind, name)
        page.dispatch_event("body", "drop", {"dataTransfer": data})
        page.get_by_role("alert").wait_for()
        page.get_by_role("button", name="Close the message").click()
    page.get_by_role("searchbox", name="Search").fill("no such item")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    assert "No item or label is called no such item" in page.get_by_role("alert").inner_text()


def test_everything_goes_by_keyboard(page_of):
    page = page_of()
    title(page, "73 items")
    page.locator(".cell img.loaded").first.wait_for()
    page.keyboard.press("Tab")  # past all that stands before them
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement.dataset.place === '0'")
    before = page.evaluate("document.activeElement.dataset.place")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("b => document.activeElement.dataset.place !== b", arg=before)
    page.keyboard.press("End")
    page.wait_for_function("() => document.activeElement.dataset.place === '72'")
    page.keyboard.press("Home")
    page.wait_for_function("() => document.activeElement.dataset.place === '0'")
    page.keyboard.press("Space")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    page.locator(".cell .frame").first.focus()
    page.keyboard.press("Enter")
    title(page, "found")


def test_a_hostile_name_is_only_a_name(page_of):
    page = page_of()
    title(page, "73 items")
    page.get_by_role("searchbox", name="Search").fill(f"red/{HOSTILE}")
    page.keyboard.press("Enter")
    title(page, "found")
    assert HOSTILE in page.locator(".chip").inner_text()
    page.get_by_role("link", name="Items").click()
    page.locator(".chip button").click()
    title(page, "73 items")
    names_in(page)
    page.locator(".facet label", has_text="red").locator("input").check()
    title(page, "24 items")
    cell = page.locator(".cell", has_text=HOSTILE).first
    cell.locator("img.loaded").wait_for()
    cell.locator(".open").click(force=True)
    page.wait_for_selector("dialog[open]")
    assert HOSTILE in page.locator("dialog h2").inner_text()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src='x']").count() == 0


def test_filters_have_counts_and_are_in_the_address(page_of, address):
    page = page_of(RED)
    title(page, "found")
    page.locator(".facet label", has_text="blue").locator("input").check()
    page.wait_for_function(
        "() => document.querySelector('h1.title').textContent.startsWith('25 found')"
    )
    assert "only=label" in page.url
    assert page.locator(".facet label", has_text="blue").locator(".count").inner_text() == "25"
    assert all(
        n.startswith(("blue", "copy")) for n in page.locator(".cell .name").all_inner_texts()
    )
    slider = page.get_by_role("slider", name="Radius in bits")
    slider.fill("2")
    page.wait_for_function("() => location.search.includes('radius=2')")
    page.get_by_text("No item is within this radius").or_(page.locator(".cell").first).wait_for()
    page.get_by_role("button", name="Nearest instead").click()
    page.get_by_label("Hide near-duplicates").check()
    page.wait_for_function("() => /distinct=/.test(location.search)")
    title(page, "found")
    assert page.locator(".cell").count() < 25


@pytest.mark.parametrize("width", [360, 1280, 3840])
@pytest.mark.parametrize("path", ["", RED, "?view=map", "?view=duplicates", "?view=about"])
def test_fits_any_screen(page_of, width, path):
    page = page_of(path, width, 2160 if width == 3840 else 800)
    page.wait_for_selector("h1, h2")
    if "view" not in path:
        page.wait_for_selector(".cell .near")
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    if path == "" and width == 3840:
        assert page.locator(".cell").count() > 40  # of which a large screen shows many


def test_what_stays_in_view_stays_where_it_is_in_the_document(page_of):
    page = page_of("", 700, 400)
    page.locator(".cell img.loaded").first.wait_for()
    page.evaluate("""() => { window.came = window.moved = 0;
      const lines = (nodes) => [...nodes].filter((node) => node.className === "cells");
      const seen = (list) => { for (const { addedNodes, removedNodes } of list) {
        window.came += lines(addedNodes).length;
        window.moved += [...removedNodes].filter((node) => document.contains(node)).length; } };
      const watched = { childList: true, subtree: true };
      new MutationObserver(seen).observe(document.querySelector(".grid"), watched); }""")
    for top in (*range(0, 1601, 200), *range(1600, -1, -200)):  # less than a row at a time
        page.evaluate("top => window.scrollTo(0, top)", top)
        page.wait_for_function(
            "() => new Promise((done) => requestAnimationFrame(() => "
            "requestAnimationFrame(() => setTimeout(done, 0, true))))"
        )
    assert page.evaluate("window.came") >= 4
    assert page.evaluate("window.moved") == 0


def test_is_dark_where_the_system_is(page_of):
    def brightness(page: Any) -> float:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour[4:-1].split(",")))

    assert brightness(page_of(color_scheme="dark")) < 150 < 600 < brightness(page_of())


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious(page_of, dark):
    """By axe-core: contrast, names of controls, roles, landmarks; in every view and dialog."""
    # Names, roles and landmarks are the same in the dark.
    check = partial(serious, colours_alone=dark)
    page = page_of(RED, color_scheme="dark" if dark else "light", bypass_csp=True)
    views = page.get_by_role("navigation")
    for view, shown in (("Items", ".cell .near"), ("Map", ".map canvas[data-engine]"),
                        ("Duplicates", ".group"), ("About", ".balance")):  # fmt: skip
        views.get_by_role("link", name=view).click()
        page.wait_for_selector(shown)
        assert check(page) == [], view
    views.get_by_role("link", name="Map").click()
    page.get_by_label("Colour").select_option("label")
    page.wait_for_selector(".legend button")
    assert check(page) == [], "legend"
    views.get_by_role("link", name="Items").click()
    title(page, "found")
    page.locator(".cell .frame").first.focus()
    page.keyboard.press("x")
    page.wait_for_selector(".chosenbar")
    assert check(page) == [], "chosen"
    page.keyboard.press("Space")
    page.wait_for_selector("dialog.large .facts h2")
    assert check(page) == [], "large"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("dialog.help")
    assert check(page) == [], "keys"
    page.goto(page.url.partition("?")[0] + "?like=item%3As%3Anone&only=label%3Dred")
    page.wait_for_selector(".teach")
    assert check(page) == [], "no answer"
    refused = {"error": {"kind": "NoKey", "message": "show an API key"}, "request_id": ""}
    page.route("**/api/v1/info", lambda route: route.fulfill(status=401, json=refused))
    page.reload()
    page.get_by_label("API key").wait_for()
    assert check(page) == [], "key"


def test_a_group_of_duplicates_is_looked_at_and_searched_with(page_of):
    page = page_of("?view=duplicates")
    page.wait_for_selector(".group.now")
    page.keyboard.press("Enter")
    heading = page.locator("dialog h2")
    first = heading.inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("t => document.querySelector('dialog h2').innerText !== t", arg=first)
    assert page.get_by_role("button", name="Next item").is_disabled()  # of two
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("t => document.querySelector('dialog h2').innerText === t", arg=first)
    page.keyboard.press("Escape")
    page.locator(".group.now .frame").nth(1).click()
    page.wait_for_function("t => document.querySelector('dialog h2')?.innerText !== t", arg=first)
    page.get_by_role("button", name="Find similar").click()
    title(page, "found")  # where that is shown
    assert "view=" not in page.url
    page.go_back()
    page.wait_for_selector(".group.now")


_COLUMNS = "document.querySelector('.cells').children.length"


def test_items_are_chosen_and_saved(page_of):
    page = page_of("?only=label%3Dgreen")
    title(page, "23 items")
    frames = page.locator("button.frame")
    frames.nth(1).focus()
    page.keyboard.press("x")
    frames.nth(4).focus()
    page.keyboard.press("Shift+X")
    page.get_by_text("4 chosen").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save JSON").click()
    items = json.loads(download.value.path().read_text())
    assert [item["id"] for item in items] == [f"green/green {i:02d}.png" for i in (2, 3, 4, 5)]
    assert all(len(item["code"]) == 8 for item in items)
    page.get_by_role("button", name="Find similar to all").click()
    title(page, "found")
    assert page.url.count("like=item") == 4
    assert page.locator(".chips .chip").count() == 4
    page.locator(".cell .choose").first.check()
    page.get_by_text("1 chosen").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_selector(".chosenbar", state="detached")


def test_a_list_is_saved_as_csv_and_no_cell_is_a_formula(page_of):
    page = page_of()
    title(page, "73 items")
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_bytes().decode())))
    assert len(rows) == 73
    assert {"id", "code", "path", "label", "taken"} <= set(rows[0])
    assert f"'{FORMULA}" in {row["id"] for row in rows}
    assert not any(value.startswith(("=", "+", "-", "@")) for row in rows for value in row.values())
    assert f"red/{HOSTILE}" in {row["id"] for row in rows}


def test_counts_say_what_another_value_would_bring(page_of):
    page = page_of("?only=label%3Dred")
    title(page, "24 items")

    def count(text: str) -> str:
        return page.locator(".facet label", has_text=text).locator(".count").inner_text()

    assert count("red") == "24"
    assert count("blue") == "25"  # of the same facet: what it would add
    assert count("2020") == "6"  # of another: what of it is shown
    page.locator(".facet label", has_text="blue").locator("input").check()
    title(page, "49 items")
    page.get_by_label("From", exact=True).fill("2020-01-01")
    page.get_by_label("To", exact=True).fill("2020-05-10")
    page.get_by_label("To", exact=True).blur()
    title(page, "7 items")  # days 2, 6 and 10 of both, and a copy
    assert "from=2020-01-01&to=2020-05-10" in page.url
    page.get_by_role("button", name="Clear 4 filters").click()
    title(page, "73 items")


def test_a_label_is_found_by_its_name(page_of):
    page = page_of()
    page.keyboard.press("/")
    page.keyboard.type("BLUE")
    page.keyboard.press("Enter")
    title(page, "25 items")
    assert "only=label%3Dblue" in page.url


def test_arrows_go_through_items_that_are_large(page_of):
    page = page_of("?only=label%3Dblue")
    title(page, "25 items")
    page.locator(".cell .open").nth(1).click(force=True)
    heading = page.locator("dialog h2")
    first = heading.inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("t => document.querySelector('dialog h2').innerText !== t", arg=first)
    page.get_by_role("button", name="Previous item").click()
    page.wait_for_function("t => document.querySelector('dialog h2').innerText === t", arg=first)


def test_an_item_that_is_large_is_zoomed_copied_and_chosen(page_of):
    page = page_of("?only=label%3Dblue", permissions=["clipboard-read", "clipboard-write"])
    title(page, "25 items")
    page.locator(".cell .frame").first.focus()
    page.keyboard.press("Space")
    page.wait_for_selector("dialog img")
    page.wait_for_function("() => document.querySelector('dialog img').naturalWidth > 0")
    assert page.get_by_role("button", name="Previous item").is_disabled()
    whole = page.locator("dialog").bounding_box()
    width = page.locator("dialog img").bounding_box()["width"]
    page.keyboard.press("z")
    page.wait_for_selector(".stage.zoomed")
    assert page.locator("dialog img").bounding_box()["width"] > 2 * width
    assert page.locator("dialog").bounding_box() == whole
    page.locator(".stage.zoomed").hover(position={"x": 9, "y": 9})
    page.wait_for_function("() => document.querySelector('.stage').scrollLeft < 60")
    page.locator(".stage.zoomed").hover(position={"x": whole["width"] / 2, "y": 9})
    page.wait_for_function("() => document.querySelector('.stage').scrollLeft > 200")
    page.locator(".zoom").click()
    page.wait_for_selector(".stage.zoomed", state="detached")
    page.keyboard.press("c")
    page.get_by_role("button", name="Copied").wait_for()
    name = page.locator("dialog p.quiet").inner_text()
    assert Path(page.evaluate("navigator.clipboard.readText()")).is_file()
    assert page.evaluate("navigator.clipboard.readText()").endswith(name)
    page.keyboard.press("x")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "t => document.querySelector('dialog p.quiet').innerText !== t", arg=name
    )
    page.get_by_label("Chosen", exact=True).check()
    page.keyboard.press("Escape")
    page.get_by_text("2 chosen").wait_for()


def test_all_items_are_shown_in_another_order_and_size(page_of):
    page = page_of()
    title(page, "73 items")
    added = names_in(page)
    assert page.evaluate(_COLUMNS) == 5
    page.get_by_role("combobox", name="Order").select_option("newest")
    page.wait_for_function("() => location.search === '?order=newest'")
    page.locator(f".cell .name:text-is({json.dumps(added[0])})").wait_for(state="detached")
    newest = names_in(page)
    page.get_by_role("combobox", name="Order").select_option("shuffled")
    page.wait_for_function("() => /order=shuffled-[0-9]+$/.test(location.search)")
    title(page, "73 items")
    page.wait_for_function(
        "n => document.querySelector('.cell .name')?.innerText !== n", arg=newest[0]
    )
    shuffled = names_in(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    saved = [item["id"] for item in json.loads(download.value.path().read_text())]
    assert len(set(saved)) == 73
    assert [name.rpartition("/")[2] for name in saved][: len(shuffled)] == shuffled
    page.reload()  # the same again, as the address says
    assert names_in(page) == shuffled
    page.get_by_role("button", name="Shuffle again").click()
    page.wait_for_function(
        "n => document.querySelector('.cell .name')?.innerText !== n", arg=shuffled[0]
    )
    page.locator(".facet label", has_text="green").locator("input").check()
    title(page, "23 items")
    page.wait_for_function("() => document.querySelectorAll('.cell .name').length > 9")
    assert all(name.startswith("green") for name in names_in(page))
    page.locator(".cell .frame").first.focus()
    page.keyboard.press("-")
    page.wait_for_function("() => location.search.includes('size=small')")
    assert page.evaluate(_COLUMNS) == 8
    page.get_by_role("combobox", name="Size").select_option("large")
    page.wait_for_function("() => location.search.includes('size=large')")
    assert page.evaluate(_COLUMNS) == 3


def test_a_query_without_an_answer_says_why(page_of):
    page = page_of("?like=item%3As%3Anone.jpg")
    page.get_by_role("heading", name="This query has no answer").wait_for()
    assert "holds no item s:none.jpg" in page.locator(".teach").inner_text()
    page.get_by_role("button", name="Show all items").click()
    title(page, "73 items")


def test_a_server_that_is_gone_is_said(page_of):
    page = page_of()
    title(page, "73 items")
    page.route("**/api/v1/search", lambda route: route.abort())
    page.locator("button.frame").first.click()
    page.get_by_role("alert").wait_for()
    assert "h2q serve" in page.get_by_role("alert").inner_text()
    page.unroute("**/api/v1/search")
    page.get_by_role("button", name="Show all items").click()
    title(page, "73 items")


def test_a_lasso_on_the_map_filters_the_grid(page_of):
    page = page_of("?view=map")
    page.wait_for_selector(".map canvas[data-engine=webgl], .map canvas[data-engine=canvas]")
    title(page, "73 items")
    lasso(page)
    title(page, "in the lasso")
    count = int(page.locator("h1.title").inner_text().split()[0])
    assert 0 < count < 73
    assert "lasso=" in page.url
    page.wait_for_function(
        "n => document.querySelectorAll('.cell:not(.empty)').length >= Math.min(n, 3)", arg=count
    )
    page.locator(".cell .frame").first.click()
    title(page, "found")  # the search lights up on the map, within the lasso
    assert int(page.locator("h1.title").inner_text().split()[0]) <= count
    page.get_by_role("button", name="Clear lasso").first.click()
    page.wait_for_function("() => !location.search.includes('lasso')")


def test_the_map_zooms_without_webgl_too(page_of):
    page = page_of()
    page.context.add_init_script(
        "const canvas = HTMLCanvasElement.prototype, get = canvas.getContext; canvas.getContext = "
        "function (kind, ...a) { return kind === 'webgl' ? null : get.call(this, kind, ...a) }"
    )
    for engine in ("webgl", "canvas"):
        if engine == "canvas":
            page.reload()
        page.get_by_role("navigation").get_by_role("link", name="Map").click()
        page.wait_for_selector(f".map[data-count='73'] canvas[data-engine={engine}]")
        page.wait_for_timeout(300)
        canvas = page.locator(".map canvas").first
        before = canvas.screenshot()
        canvas.hover()
        page.mouse.move(20, 20)  # no card hides the points
        assert canvas.screenshot() == before
        canvas.focus()
        for key in ("+", "+", "ArrowLeft"):
            page.keyboard.press(key)
        page.wait_for_timeout(300)
        assert canvas.screenshot() != before
        page.get_by_role("button", name="Whole map").click()
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + 30, box["y"] + 30)
        page.mouse.wheel(0, -400)
        page.mouse.move(20, 20)
        page.wait_for_timeout(300)
        assert canvas.screenshot() != before
        page.get_by_role("navigation").get_by_role("link", name="Items").click()


def test_the_map_shows_a_thumbnail_under_the_pointer(page_of, address):
    page = page_of("?view=map")
    page.wait_for_selector(".map canvas[data-engine]")
    page.wait_for_timeout(500)
    box = page.locator(".map canvas").first.bounding_box()
    for i in range(60):
        page.mouse.move(box["x"] + box["width"] * (0.25 + 0.5 * (i % 10) / 10),
                        box["y"] + box["height"] * (0.2 + 0.6 * (i // 10) / 6))  # fmt: skip
        page.wait_for_timeout(60)
        if page.locator(".map .card").count():
            break
    page.locator(".map .card img").wait_for()


def test_duplicates_are_reviewed_by_keyboard(page_of):
    page = page_of("?view=duplicates")
    page.wait_for_selector(".group.now")
    assert page.locator(".group.now .member").count() == 2
    assert page.locator(".group.now .member.keep").count() == 1
    moved = page.locator(".group.now .member.move").inner_text()
    page.keyboard.press("2")
    page.wait_for_function(
        "t => document.querySelector('.group.now .member.move').innerText !== t", arg=moved
    )
    page.keyboard.press("x")
    page.wait_for_selector(".group.now .member.move", state="detached")
    page.keyboard.press("r")
    page.wait_for_selector(".group.now .member.move")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save plan").click()
    plan = json.loads(download.value.path().read_text())
    assert len(plan["moves"]) == 1
