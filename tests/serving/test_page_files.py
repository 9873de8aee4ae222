"""The files of the page: whole, of known origin, and nothing in them comes from elsewhere."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import h2q.serving

PAGE = Path(h2q.serving.__file__).parent / "page"
OURS = sorted(path for path in PAGE.iterdir() if path.is_file())
SCRIPTS = [path for path in OURS if path.suffix == ".js"]
VENDORED = sorted((PAGE / "vendor").glob("*.js"))


def imports(path: Path) -> list[Path]:
    text = path.read_text(encoding="utf-8")
    return [
        (PAGE / name).resolve() for name in re.findall(r'^import .* from "([^"]+)";$', text, re.M)
    ]


def test_what_is_vendored_is_named_unchanged_and_licensed() -> None:
    listed = (PAGE / "vendor" / "README.txt").read_text(encoding="utf-8")
    assert VENDORED
    for path in VENDORED:
        entry = listed.split(f"\n{path.name}\n", 1)[1].split("\n\n", 1)[0]
        assert re.search(r" \d+\.\d+\.\d+ ", entry), "its version"
        assert hashlib.sha256(path.read_bytes()).hexdigest() in entry
        (licence,) = re.findall(r"licence (\S+)", entry)
        assert "Licen" in (PAGE / "vendor" / licence).read_text(encoding="utf-8")


def test_every_module_is_there_and_asked_for_at_once() -> None:
    index = (PAGE / "index.html").read_text(encoding="utf-8")
    asked = {
        (PAGE / name).resolve()
        for name in re.findall(r'modulepreload" href="/page/([^"]+)"', index)
    }
    needed = {path for script in SCRIPTS for path in imports(script)}
    assert all(path.is_file() for path in needed)
    assert asked == needed
    assert {path.resolve() for path in SCRIPTS} - needed == {PAGE / "app.js"}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere_or_becomes_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text), "an address of another host"
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "dangerouslySet", "eval(",
                 "new Function", "document.write", "javascript:", "localStorage"):  # fmt: skip
        assert word not in text
    if path.suffix == ".html":
        assert not re.search(r"<script(?![^>]* src=)|\son\w+=|\sstyle=", text), (
            "inline code or style"
        )


def test_the_page_is_small_on_its_way(client: TestClient) -> None:
    sent = 0
    for path in [*OURS, *VENDORED]:
        url = f"/page/{path.relative_to(PAGE).as_posix()}"
        packed = client.get(url, headers={"accept-encoding": "br, gzip"})
        plain = client.get(url, headers={"accept-encoding": "identity"})
        assert packed.content == plain.content == path.read_bytes()
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.headers["vary"] == plain.headers["vary"] == "accept-encoding"
        sent += int(packed.headers["content-length"])
    assert sent < 50_000


def test_a_file_of_the_page_is_sent_once(client: TestClient) -> None:
    for path in ("/", "/page/app.js"):
        first = client.get(path)
        for mark in (first.headers["etag"], first.headers["etag"].removeprefix("W/")):
            again = client.get(path, headers={"if-none-match": mark})
            assert (again.status_code, again.content) == (304, b"")
        assert "content-security-policy" in again.headers
        assert client.get(path, headers={"if-none-match": '"other"'}).content == first.content
