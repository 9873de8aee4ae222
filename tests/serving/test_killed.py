"""What a server acknowledged is held, whatever becomes of it."""

from __future__ import annotations

import base64
import signal
import threading
from pathlib import Path

import httpx
import numpy as np
import pytest

import h2q
from tests.serving.process import Server, served

_WRITERS, _AT_ONCE = 3, 5


def codes_of(writer: int, call: int) -> np.ndarray:
    return np.random.default_rng([writer, call]).integers(0, 256, (_AT_ONCE, 8), dtype=np.uint8)


def names_of(writer: int, call: int) -> list[str]:
    return [f"{writer}/{call}/{i}" for i in range(_AT_ONCE)]


def write(server: Server, writer: int, acknowledged: list[tuple[int, int]]) -> None:
    """Add until the server is gone; all of a call, or nothing, is acknowledged."""
    with httpx.Client(base_url=server.url, timeout=20) as client:
        for call in range(100_000):
            code = base64.b64encode(codes_of(writer, call).tobytes()).decode()
            body = {"ids": names_of(writer, call), "codes": code}
            try:
                client.post("/api/v1/items", json=body).raise_for_status()
            except httpx.TransportError:
                return
            acknowledged.append((writer, call))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_acknowledged_is_lost(tmp_path: Path, number: signal.Signals) -> None:
    uri = tmp_path / "killed.h2q"
    h2q.open_collection(str(uri), n_bits=64).close()
    acknowledged: list[tuple[int, int]] = []
    with served(uri) as server:
        writers = [
            threading.Thread(target=write, args=(server, writer, acknowledged))
            for writer in range(_WRITERS)
        ]
        for thread in writers:
            thread.start()
        while len(acknowledged) < 20:
            assert any(thread.is_alive() for thread in writers), server.said
        server.process.send_signal(number)
        for thread in writers:
            thread.join()
        ended = server.process.wait(20)
        assert ended == (-number if number == signal.SIGKILL else 0)
    with h2q.open_collection(str(uri), mode="r") as held:
        held.check()
        for writer, call in acknowledged:
            found = held.get(names_of(writer, call))
            for item, code in zip(found, codes_of(writer, call), strict=True):
                assert item is not None
                assert item.code.tobytes() == code.tobytes()
        # Calls under way were done whole or not at all.
        assert len(held) % _AT_ONCE == 0
        under_way = len(held) - _AT_ONCE * len(acknowledged)
        assert 0 <= under_way <= _AT_ONCE * _WRITERS
        if number == signal.SIGTERM:
            assert under_way == 0  # it answers what it began
