"""A real collection of photos, served by the command itself, seen by a real Chromium."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Open = Callable[..., Any]
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
#: A file that tries to run a script wherever its name is written without care.
HOSTILE = "<img src=x onerror=window.hacked=1>.png"
#: One that a spreadsheet would take for a formula; in no folder, so that its id begins with it.
FORMULA = '=HYPERLINK("x").png'
_QUIET = ("--no-sandbox", "--disable-background-networking", "--disable-component-update",
          "--disable-sync", "--no-first-run", "--disable-quic")  # fmt: skip


def scene(number: int, kind: int) -> Image.Image:
    """Return a smooth picture of one of three kinds, no two alike."""
    rng = np.random.default_rng(1000 * kind + number)
    base = np.array([[200, 60, 50], [50, 160, 70], [60, 80, 200]])[kind]
    spots = rng.integers(-50, 50, (4 + kind, 5, 3)) + base
    pixels = np.clip(spots, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((120 + number, 90), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    for kind, name in enumerate(("red", "green", "blue")):
        (folder / name).mkdir()
        for i in range(24):
            details = Image.Exif()  # with a date
            details[0x0132] = f"{2019 + i % 4}:05:{1 + i:02d} 10:00:00"
            scene(i, kind).save(folder / name / f"{name} {i:02d}.png", exif=details)
    (folder / "red" / "red 00.png").rename(folder / "red" / HOSTILE)
    (folder / "green" / "green 00.png").rename(folder / FORMULA)
    shutil.copy(folder / "blue" / "blue 05.png", folder / "blue" / "copy.png")
    return folder


@contextlib.contextmanager
def serving(collection: Path) -> Iterator[str]:
    """Run the command over a collection; give its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "h2q", "serve", str(collection), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    log = server.stderr
    assert log is not None
    url = next((json.loads(line)["url"] for line in log if '"url"' in line), None)
    assert url is not None, "the server said no address"
    # Its log is read on, so that it never waits for room.
    reader = threading.Thread(target=log.read, daemon=True)
    reader.start()
    try:
        yield url
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) in (0, -signal.SIGTERM, 130)
        reader.join(timeout=5)


def index(folder: Path, collection: Path, *options: str) -> None:
    """Index a folder of photos by the command."""
    command = [sys.executable, "-m", "h2q", "index", str(folder), "-c", str(collection)]
    subprocess.run([*command, *options], check=True)


@pytest.fixture(scope="session")
def address(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    collection = tmp_path_factory.mktemp("served") / "album.h2q"
    index(photo_folder, collection, "--bits", "32")
    with serving(collection) as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        yield browser
        browser.close()


def _policy(said: str, troubles: list[str]) -> None:
    if "Content Security Policy" in said:
        troubles.append(said)


def _outside(url: str, address: str, troubles: list[str]) -> None:
    if not url.startswith((address, "blob:", "data:")):
        troubles.append(f"asked for {url}")


@contextlib.contextmanager
def opener(chromium: Any, address: str) -> Iterator[Open]:
    """Open pages; nothing may go wrong in one, break its policy or come from elsewhere."""
    contexts, troubles = [], []

    def open_page(path: str = "", width: int = 1280, height: int = 900, **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(120_000)  # however busy the machine
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: _policy(said.text, troubles))
        page.on("request", lambda asked: _outside(asked.url, address, troubles))
        page.goto(address + path)
        page.wait_for_selector("header")
        return page

    try:
        yield open_page
    finally:
        for context in contexts:
            context.close()
    assert troubles == []


@pytest.fixture
def page_of(chromium: Any, address: str) -> Iterator[Open]:
    with opener(chromium, address) as open_page:
        yield open_page
