"""The tools of the Model Context Protocol answer what the served collection does."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from h2q.collections import Collection
from h2q.serving import Settings
from h2q.serving.app import create_app
from tests.collections.test_http_conformance import Servers

pytest.importorskip("mcp.server")
from h2q.serving.mcp import make_server


@pytest.fixture
def url(collection: Collection) -> Iterator[str]:
    servers = Servers()
    app = create_app(collection, Settings())
    servers.apps["photos"] = app
    yield f"http://127.0.0.1:{servers.port}/photos/"
    servers.close()
    app.state.library.close()


def call(url: str, tool: str, **arguments: Any) -> Any:
    # In a thread of its own: beside tests of the browser a loop already runs in this one.
    with ThreadPoolExecutor(1) as thread:
        result = thread.submit(asyncio.run, make_server(url).call_tool(tool, arguments)).result()
    found = result.structured_content
    return found["result"] if set(found) == {"result"} else found


def test_an_items_neighbours(url: str, collection: Collection) -> None:
    first = next(iter(collection))
    found = call(url, "search_photos", item=first, k=3, where={"label": "cats"})
    item = collection.get([first])[0]
    assert item is not None
    expected = [i for i in collection.search(item.code, 12, {"label": "cats"}).ids[0] if i != first]
    assert [each["id"] for each in found] == expected[:3]
    assert {each["payload"]["label"] for each in found} == {"cats"}


def test_what_is_asked_wrongly_says_so(url: str) -> None:
    for arguments in ({}, {"item": "a", "text": "b"}, {"photo": "/no/such/photo.jpg"}):
        with pytest.raises(Exception, match=r"exactly one|cannot be read"):
            call(url, "search_photos", **arguments)
    with pytest.raises(Exception, match="level is"):
        call(url, "find_duplicates", level="equal")


def test_duplicates_say_how_far_they_are(url: str) -> None:
    found = call(url, "find_duplicates")
    assert found["ready"] in (True, False)
    assert {"stage", "done", "of"} <= set(found) or {"total", "groups"} <= set(found)


def test_it_speaks_over_standard_input_and_output(url: str, tmp_path: Path) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "0"},
        },
    }
    done = subprocess.run(
        [sys.executable, "-m", "h2q.serving.mcp", url],
        input=json.dumps(hello) + "\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    answer = json.loads(done.stdout.splitlines()[0])
    assert answer["result"]["serverInfo"]["name"] == "h2q", done.stderr
