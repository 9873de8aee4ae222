"""What only a server shows that runs: its pace, and that nothing hostile harms it."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("tokenizers")

from tests.serving.hostile import SCHEMATHESIS, attack, collection_of, described
from tests.serving.process import Server, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(collection_of(tmp_path_factory.mktemp("real"))) as running:
        yield running


def test_an_answer_does_not_wait_for_its_beginning_to_be_confirmed(server: Server) -> None:
    taken = []
    with httpx.Client(base_url=server.url, timeout=20) as client:
        body = {"queries": [{"key": "s:01.png"}], "k": 5}
        for _ in range(40):
            began = time.perf_counter()
            assert client.post("/api/v1/search", json=body).status_code == 200
            taken.append(time.perf_counter() - began)
    # Where small parts wait for each other (Nagle) each takes 40 ms at least.
    assert statistics.quantiles(taken)[0] < 0.03


def test_it_is_ready_soon_and_loads_what_it_needs_alone(server: Server) -> None:
    # Whatever else the machine does: seconds of the processor, and libraries by their files.
    again = "import h2q.serving.server, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", again], capture_output=True, text=True).stdout
    heavy = {"torch", "sklearn", "matplotlib", "onnxruntime", "scipy", "h2q.duplicates"}
    assert heavy.isdisjoint(loaded.split())
    with served(Path(server.collection)) as fresh, httpx.Client(base_url=fresh.url) as client:
        while client.get("/readyz").status_code != 200:
            time.sleep(0.005)
        times = psutil.Process(fresh.process.pid).cpu_times()
    assert times.user + times.system < 2.5


def test_several_servers_over_one_file_know_what_each_stores(server: Server) -> None:
    with (
        served(Path(server.collection)) as other,
        httpx.Client(base_url=server.url) as one,
        httpx.Client(base_url=other.url) as two,
    ):
        before = two.get("/api/v1/items").json()["total"]
        code = base64.b64encode(bytes(range(4))).decode()
        one.post("/api/v1/items", json={"ids": ["theirs"], "codes": code}).raise_for_status()
        body = {"queries": [{"code": code}], "k": 1}
        (found,) = two.post("/api/v1/search", json=body).json()["items"]
        assert (found["id"], found["distance"]) == ("theirs", 0)
        deadline = time.monotonic() + 20
        while two.get("/api/v1/items").json()["total"] == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert two.post("/api/v1/items/delete", json={"ids": ["theirs"]}).json() == {"deleted": 1}
        assert one.get("/api/v1/items/s:theirs").status_code == 404


@pytest.mark.parametrize(
    "start",
    [
        b"GET /" + b"a" * 70_000,
        b"GET / HTTP/1.1\r\nx: " + b"y" * 70_000,
        b"\x16\x03\x01\r\n\r\n",
    ],
    ids=["address", "header", "TLS"],
)
def test_what_is_no_request_is_answered_like_all_else(server: Server, start: bytes) -> None:
    parts = urlsplit(server.url)
    with socket.create_connection((str(parts.hostname), parts.port or 80), timeout=10) as link:
        link.sendall(start)
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # it reads no further than it must
            while more := link.recv(65_536):
                answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in head
    assert b"content-security-policy: default-src 'none'" in head
    assert json.loads(body)["error"]["kind"] == "HttpError"


def test_every_route_answers_as_its_description_says(server: Server, tmp_path: Path) -> None:
    if not SCHEMATHESIS.exists():
        pytest.skip("schemathesis is not installed")
    run = described(server, tmp_path, "--phases", "fuzzing", "--max-examples", "2")
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    assert "Tested: 29" in run.stdout


def test_hostile_photos_and_bodies_harm_nothing(server: Server) -> None:
    # The second time all is known, so nothing more is kept of it.
    first = attack(server, requests=250, seed=11)
    again = attack(server, requests=250, seed=11)
    assert not first.faults + again.faults
    assert again.handles[-1] <= first.handles[-1] + 2
    assert again.resident[-1] - first.resident[-1] < 30e6
