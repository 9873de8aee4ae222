"""Clients that send or read slowly, or nothing at all, are not waited for for ever."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from h2q.collections import Collection
from h2q.serving import Settings, protocol
from h2q.serving.app import create_app
from h2q.serving.server import config_of

_HEAD = b"POST /api/v1/queries HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100000\r\n\r\n"
_GET = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def port(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    for name, value in {"HEAD_SECONDS": 0.4, "BODY_SECONDS": 0.4, "READ_SECONDS": 0.4}.items():
        monkeypatch.setattr(protocol, name, value)
    server = uvicorn.Server(config_of(create_app(collection, Settings())))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def _dripped(port: int, start: bytes, drip: bytes, every: float = 0.1) -> tuple[bytes, float]:
    """Send the start, then a little now and then; return what is answered, and when it ended."""
    began = time.monotonic()
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=every) as link:
        link.sendall(start)
        while time.monotonic() < began + 10:
            try:
                more = link.recv(65_536)
                answer += more
                if not more:
                    break
            except TimeoutError:
                with contextlib.suppress(OSError):
                    link.sendall(drip)
            except ConnectionError:
                break
        else:
            pytest.fail(f"it still waits: {answer!r}")
    return answer, time.monotonic() - began


@pytest.mark.parametrize(
    ("start", "drip"),
    [(_GET[:10], b"a"), (_GET[:-2], b"x: y\r\n"), (_HEAD, b"z"), (_HEAD, b"")],
    ids=["address", "headers", "body", "body that stops"],
)
def test_a_request_in_drops_is_given_up(port: int, start: bytes, drip: bytes) -> None:
    answer, _ = _dripped(port, start, drip)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["error"]["kind"] == "HttpError"


@pytest.mark.parametrize("drip", [b"", b"\r\n"], ids=["silent", "empty lines"])
def test_a_connection_that_asks_nothing_is_closed(port: int, drip: bytes) -> None:
    assert _dripped(port, b"", drip)[0] == b""


def test_nor_does_one_stay_that_asked_once_and_sends_empty_lines(port: int) -> None:
    answer, _ = _dripped(port, _GET, b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_body_that_is_answered_already_keeps_nothing_open(port: int) -> None:
    refused = _HEAD.replace(b"127.0.0.1", b"evil.example")
    answer, _ = _dripped(port, refused, b"z" * 1000)
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_slow_body_with_a_pace_is_read(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"queries": [{"key": "s:dogs/00.png"}]}).encode() + b" " * 4000
    head = (
        b"POST /api/v1/search HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(head)
        for start in range(0, len(body), 500):  # 5,000 bytes a second, for 0.8 s
            time.sleep(0.1)
            link.sendall(body[start : start + 500])
        assert link.recv(100).startswith(b"HTTP/1.1 200 ")


def test_whoever_does_not_read_a_long_answer_is_hung_up_on(
    port: int, collection: Collection
) -> None:
    payload = {"text": "x" * 50_000}
    item = collection.get([7])[0]
    assert item is not None
    ids = [f"long {i}" for i in range(400)]
    collection.add(ids, item.code[None, :].repeat(400, axis=0), [payload] * 400)
    body = b'{"batch_size": 1}'
    head = b"POST /api/v1/scan HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    with socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.settimeout(10)
        link.connect(("127.0.0.1", port))
        link.sendall(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        time.sleep(1.5)
        read = 0
        with contextlib.suppress(ConnectionError):
            while more := link.recv(1 << 20):
                read += len(more)
    assert 0 < read < 15_000_000


def test_a_client_that_goes_is_no_bug(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="h2q.serving"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
            link.sendall(_HEAD + b"some")
            time.sleep(0.1)
        deadline = time.monotonic() + 10
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.02)
    (record,) = caplog.records
    assert (record.levelno, vars(record)["facts"]["status"]) == (logging.INFO, 499)


def test_nor_has_the_next_request_less_time_for_a_long_answer(
    port: int, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 1.5)
    count = collection.count

    def slowly(*given: object) -> int:
        time.sleep(0.5)  # the next request is there in part meanwhile
        return count(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(collection, "count", slowly)
    head = _HEAD.replace(b"queries", b"items/count").replace(b"100000", b"2")
    head = head[:-2] + b"content-type: application/json\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        began = time.monotonic()
        link.sendall(head + b"{}" + _GET[:20])
        answer = link.recv(65_536)
        time.sleep(max(0.0, began + 1.8 - time.monotonic()))
        link.sendall(_GET[20:])
        answer += link.recv(65_536)
    assert answer.count(b"HTTP/1.1 200 ") == 2


def test_requests_in_a_row_are_answered_one_by_one(port: int) -> None:
    last = _GET.replace(b"host", b"connection: close\r\nhost")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as link:
        link.sendall(_GET * 2000 + last)  # some 100 kB in all: none of them is long
        answer = b""
        while more := link.recv(1 << 20):
            answer += more
    assert answer.count(b"HTTP/1.1 200 ") == 2001
