"""How fluid the page is: frames, answers and bytes, seen by a real Chromium.

Serves a collection by the command itself and drives the page: scrolls the grid at a steady speed
and by jumps, pans, zooms, hovers over and lassoes the map, searches, filters. Prints for each the
median and the 95th percentile of the time between frames, the longest frame, and how long an answer
took from the click to the picture of it. Chromium draws by software where there is no graphics
card; with one, frames are shorter.

    python bench/many_items.py photos.h2q many.h2q --n 100000
    python bench/page.py many.h2q --width 1280
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

#: A Chromium that talks to nobody else.
FLAGS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update",
          "--disable-sync", "--no-first-run", "--disable-quic"]  # fmt: skip
_RECORD = """() => { window.frames_ = []; window.recording_ = true; let last = 0;
  const on = (now) => { if (last) window.frames_.push(now - last); last = now;
    if (window.recording_) requestAnimationFrame(on); }; requestAnimationFrame(on); }"""
_STOP = "() => { window.recording_ = false; return window.frames_; }"
_SCROLL = """([step, frames]) => new Promise((done) => { let n = 0;
  const on = () => { window.scrollBy(0, step);
    if (++n < frames) requestAnimationFrame(on); else done(); };
  requestAnimationFrame(on); })"""
_JUMP = """(times) => new Promise((done) => { let n = 0;
  const on = () => { window.scrollTo(0, document.documentElement.scrollHeight * ((n * 0.37) % 1));
    if (++n < times) setTimeout(on, 150); else done(); }; on(); })"""


def serve(collection: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the command; return its process and address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "h2q", "serve", str(collection), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    for line in server.stderr:
        if '"url"' in line:
            # Its log is read on, so that it never waits for room.
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return server, str(json.loads(line)["url"])
    raise SystemExit("the server said no address")


def report(name: str, frames: list[float]) -> None:
    """Print how long frames took."""
    times = np.asarray(frames)
    print(
        f"{name:<34} frames {len(times):>5}   median {np.median(times):5.1f} ms   "
        f"p95 {np.percentile(times, 95):5.1f}   longest {times.max():6.1f}",
        flush=True,
    )


class Watch:
    """Records the frames of a `with` block."""

    def __init__(self, page: Any, name: str) -> None:
        self._page, self._name = page, name

    def __enter__(self) -> None:
        self._page.evaluate(_RECORD)

    def __exit__(self, *error: object) -> None:
        report(self._name, self._page.evaluate(_STOP))


def answer(page: Any, name: str, act: Any, shown: str) -> None:
    """Print how long it takes from an act until the page shows its answer."""
    began = time.perf_counter()
    act()
    page.wait_for_function(shown, polling="raf")
    print(f"{name:<34} {1e3 * (time.perf_counter() - began):8.0f} ms", flush=True)


def grid(page: Any) -> None:
    """Scroll."""
    with Watch(page, "grid, steady scroll"):
        page.evaluate(_SCROLL, [40, 240])
    page.wait_for_timeout(500)
    with Watch(page, "grid, fast scroll"):
        page.evaluate(_SCROLL, [400, 240])
    page.wait_for_timeout(500)
    with Watch(page, "grid, jumps"):
        page.evaluate(_JUMP, 20)
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_selector("button.frame[data-place='0']")


def themap(page: Any) -> None:
    """Pan, zoom, hover, lasso."""
    box = page.locator(".map canvas").first.bounding_box()
    x, y, w, h = box["x"], box["y"], box["width"], box["height"]
    centre = (x + w / 2, y + h / 2)
    with Watch(page, "map, pan"):
        page.mouse.move(*centre)
        page.mouse.down()
        for i in range(120):
            page.mouse.move(centre[0] + 150 * np.sin(i / 8), centre[1] + 100 * np.cos(i / 8))
        page.mouse.up()
    with Watch(page, "map, zoom"):
        for i in range(60):
            page.mouse.wheel(0, -120 if i < 30 else 120)
    page.wait_for_timeout(300)
    with Watch(page, "map, hover"):
        for i in range(120):
            page.mouse.move(centre[0] + i - 60, centre[1] + 40 * np.sin(i / 9))
    page.get_by_role("button", name="Lasso", exact=True).click()
    with Watch(page, "map, lasso drawn"):
        page.mouse.move(x + w * 0.35, y + h * 0.35)
        page.mouse.down()
        for a, b in ((0.65, 0.35), (0.65, 0.65), (0.35, 0.65), (0.35, 0.36)):
            page.mouse.move(x + a * w, y + b * h, steps=25)
        lassoed = "() => document.querySelector('h1.title').textContent.includes('lasso')"
        answer(page, "map, lasso to grid", page.mouse.up, lassoed)
    page.get_by_role("button", name="Clear lasso").first.click()


@contextmanager
def browsing(collection: Path) -> Iterator[tuple[Any, str]]:
    """Serve a collection; yield a browser and the server's address."""
    server, url = serve(collection)
    try:
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium") or shutil.which("chromium-browser")
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            yield browser, url
            browser.close()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--width", type=int, nargs="+", default=[360, 1280, 3840])
    args = parser.parse_args()
    with browsing(args.collection) as (browser, url):
        for width in args.width:
            measure(browser, url, width)


def measure(browser: Any, url: str, width: int) -> None:
    """Print the figures of one width."""
    height = {360: 740, 3840: 2160}.get(width, 860)
    print(f"\n{width} x {height}")
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: print("ERROR", error))
    sizes: list[int] = []
    page.on("requestfinished", lambda r: sizes.append(r.sizes()["responseBodySize"]))
    loaded = "() => document.querySelector('.cell img.loaded')"
    answer(page, "first photo shown", lambda: page.goto(url), loaded)
    page.wait_for_load_state("networkidle")
    print(f"{'bytes until all is shown':<34} {sum(sizes) / 1e3:8.0f} kB in {len(sizes)} requests")
    grid(page)
    titled = "() => /found in/.test(document.querySelector('h1.title').textContent)"
    first = page.locator("button.frame[data-place='0']")
    answer(page, "search by a click", first.click, titled)
    page.get_by_role("navigation").get_by_role("link", name="Map").click()
    drawn = "() => document.querySelector('.map[data-count]:not([data-count=\"0\"])')"
    answer(page, "map drawn, with the search lit up", lambda: None, drawn)
    page.goto(f"{url}?view=map&map=pca")
    page.wait_for_function(drawn)
    page.wait_for_timeout(500)
    themap(page)
    page.goto(url)
    page.wait_for_function(loaded)
    if not page.locator("aside .facet").first.is_visible():
        page.locator("aside summary").click()
    before = page.locator("h1.title").inner_text()
    changed = (
        f"() => ![{before!r}, 'Loading …'].includes(document.querySelector('h1.title').textContent)"
    )
    box = page.locator(".facet input[type=checkbox]").first
    answer(page, "filter by a click, with counts", box.check, changed)
    page.get_by_role("navigation").get_by_role("link", name="About").click()
    answer(page, "about, with figures", lambda: None, "() => document.querySelector('.balance')")
    page.close()


if __name__ == "__main__":
    main()
