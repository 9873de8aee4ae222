"""A small collection of real photos on disk, and clients of an application over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import h2q
from h2q.collections import Collection
from h2q.serving import Settings
from h2q.serving.app import create_app

N_BITS = 24
Client = Callable[..., TestClient]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for i in range(12):
        path = folder / ("cats" if i % 2 else "dogs") / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        # Smooth, so that a compressed copy can be held against it.
        pixels = rng.integers(0, 256, (3, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((60 + i, 40), Image.Resampling.BICUBIC).save(path)
    return folder


@pytest.fixture(scope="session")
def quantizer() -> h2q.HouseholderQuantizer:
    rows = np.random.default_rng(2).normal(size=(200, 32)).astype(np.float32)
    return h2q.HouseholderQuantizer(N_BITS, random_state=0).fit(rows)


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(12, 32)).astype(np.float32)


@pytest.fixture
def collection(
    tmp_path: Path, photos: Path, rows: np.ndarray, quantizer: h2q.HouseholderQuantizer
) -> Iterator[Collection]:
    ids: list[str | int] = []
    payloads = []
    for i, path in enumerate(sorted(photos.glob("*/*.png"))):
        ids.append(path.relative_to(photos).as_posix())
        payloads.append(
            {
                "folder": str(photos),
                "path": ids[-1],
                "label": path.parent.name,
                "taken": f"{2010 + i % 3}-05-01T10:00:00",
                "tags": ["a", "b"] if i % 4 == 0 else ["b"],
            }
        )
    ids[-1] = 7  # a number among names
    with h2q.open_collection(tmp_path / "photos.h2q", quantizer=quantizer) as collection:
        collection.add(ids, quantizer.transform(rows), payloads)
        yield collection


@pytest.fixture
def client_of(collection: Collection) -> Iterator[Client]:
    open_clients = []

    def make(**settings: object) -> TestClient:
        client = TestClient(
            create_app(collection, Settings(**settings)),  # type: ignore[arg-type]
            base_url="http://127.0.0.1:8000",
        )
        client.__enter__()
        open_clients.append(client)
        return client

    yield make
    for client in open_clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(client_of: Client) -> TestClient:
    return client_of()
