"""Photos and words as queries, with a real pair of networks."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import h2q
from h2q.images import read_image
from h2q.serving import Settings
from h2q.serving.app import create_app

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("tokenizers")

from h2q.ingest.photos import index_photos
from tests.encoders.tiny_onnx import WORDS, pair


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 flat pictures: a third of them shades of each word's colour."""
    folder = tmp_path_factory.mktemp("flat")
    rng = np.random.default_rng(0)
    for word, channel in WORDS.items():
        for i in range(20):
            colour = rng.integers(0, 60, 3)
            colour[channel] = rng.integers(180, 256)
            Image.new("RGB", (12, 9), tuple(int(c) for c in colour)).save(
                folder / f"{word} {i:02d}.png"
            )
    return folder


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    network = pair(tmp_path_factory.mktemp("net"), columns=48)
    uri = str(tmp_path_factory.mktemp("c") / "flat.h2q")
    index_photos(folder, uri, encoder=f"onnx:{network}", n_bits=32)
    with h2q.open_collection(uri) as collection:
        app = create_app(collection, Settings())
        with TestClient(app, base_url="http://127.0.0.1:8000") as client:
            yield client


class CountedSession:
    """A session of onnxruntime that says how large its batches were; the first waits."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.batches: list[int] = []
        self.running, self.go = threading.Event(), threading.Event()

    def run(self, outputs: Any, given: dict[str, Any]) -> Any:
        self.batches.append(len(next(iter(given.values()))))
        self.running.set()
        assert self.go.wait(20)
        return self._session.run(outputs, given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


@pytest.mark.parametrize("word", list(WORDS))
def test_words_find_what_they_mean(client: TestClient, word: str) -> None:
    answer = client.post("/api/v1/search", json={"queries": [{"text": word}], "k": 15})
    assert answer.status_code == 200
    found = [hit["id"] for hit in answer.json()["items"]]
    assert len(found) == 15
    assert all(name.startswith(word) for name in found)
    assert client.get("/api/v1/info").json()["texts"] is True


def test_words_and_photos_are_one_query_together(client: TestClient, folder: Path) -> None:
    token = client.post("/api/v1/queries", content=(folder / "red 03.png").read_bytes()).json()
    queries = [{"photo": token["token"]}, {"text": "red"}]
    answer = client.post(
        "/api/v1/search", json={"queries": queries, "without": [{"text": "blue"}], "k": 10}
    ).json()
    assert all(hit["id"].startswith("red") for hit in answer["items"])


def test_photos_asked_about_at_once_are_embedded_in_one_batch(
    client: TestClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = client.app.state.library.asked  # type: ignore[attr-defined]
    asked.embed(Image.new("RGB", (9, 9)))  # the networks are loaded
    coded, embed = asked.load()
    session = CountedSession(coded.encoder._session)
    together: list[int] = []
    monkeypatch.setattr(
        coded, "embed", lambda rows: together.append(len(rows)) or coded.encoder.embed(rows)
    )
    monkeypatch.setattr(coded.encoder, "_session", session)
    photos = [(folder / f"green {i:02d}.png").read_bytes() for i in range(9)]
    answers: dict[int, Any] = {}

    def ask(number: int) -> None:
        answers[number] = client.post("/api/v1/queries", content=photos[number])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(9)]
    threads[0].start()
    assert session.running.wait(20)  # alone, and at once
    for thread in threads[1:]:
        thread.start()
    deadline = time.monotonic() + 20
    while embed._waiting.qsize() < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    session.go.set()
    for thread in threads:
        thread.join()
    assert together == [1, 8]
    # The network takes a few at a time, a core each.
    assert sum(session.batches) == 9
    assert len(session.batches) == 1 + math.ceil(8 / coded.encoder._batch)
    # Each got its own, not a neighbour's.
    for number, answer in answers.items():
        assert answer.status_code == 200
        kept = asked.get(answer.json()["token"])
        image = read_image(photos[number])
        np.testing.assert_allclose(
            kept.row, coded.encoder.embed([coded.prepare(image)])[0], atol=1e-5
        )
    batches = client.get("/metrics").text
    assert 'h2q_photos_a_batch_bucket{le="8.0"}' in batches
