"""A real collection of photos, served by the command itself, seen by a real Chromium."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

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


def serve(collection: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the command and return its process and address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "h2q", "serve", str(collection), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert server.stderr is not None
    for line in server.stderr:
        if '"url"' in line:
            return server, json.loads(line)["url"]
    raise AssertionError("the server said no address")


def stop(server: subprocess.Popen[str]) -> None:
    server.send_signal(signal.SIGTERM)
    server.communicate(timeout=60)


@pytest.fixture(scope="session")
def address(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    collection = tmp_path_factory.mktemp("served") / "album.h2q"
    command = [sys.executable, "-m", "h2q", "index", str(photo_folder)]
    subprocess.run([*command, "-c", str(collection), "--bits", "32"], check=True)
    server, url = serve(collection)
    # Its log is read, so that it never waits for room.
    import threading

    assert server.stderr is not None
    reader = threading.Thread(target=lambda: [None for _ in server.stderr or ()], daemon=True)
    reader.start()
    yield url
    server.send_signal(signal.SIGTERM)
    assert server.wait(timeout=60) in (0, -signal.SIGTERM, 130)
    reader.join(timeout=5)


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


@pytest.fixture
def page_of(chromium: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Open the page; nothing may go wrong in it, break its policy or come from elsewhere."""
    contexts, troubles = [], []

    def open_page(path: str = "", width: int = 1280, height: int = 900, **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(30_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda said: _policy(said.text, troubles))
        page.on("request", lambda asked: _outside(asked.url, address, troubles))
        page.goto(address + path)
        page.wait_for_selector("header")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []
