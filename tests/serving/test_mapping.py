"""The map: near codes lie near each other, whichever way it is laid out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from h2q.codes import pack
from h2q.errors import InvalidInputError
from h2q.serving import mapping
from h2q.serving.mapping import METHODS, Method, coordinates, methods

_BITS = 32


@pytest.fixture(scope="module")
def kinds() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Codes of three kinds, each near a centre of its own, some of them equal."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, _BITS))
    labels = np.arange(210) % 3
    rows = np.sign(centres[labels]) * np.where(rng.random((210, _BITS)) < 0.06, -1.0, 1.0)
    return pack(rows), labels


def share_of_own_kind(places: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argsort(axis=1)[:, :5]
    return float((labels[nearest] == labels[:, None]).mean())


@pytest.mark.parametrize("method", METHODS)
def test_near_codes_lie_near_each_other(kinds, method: Method) -> None:
    if method == "opentsne":
        pytest.importorskip("openTSNE")
    codes, labels = kinds
    places = coordinates(codes, _BITS, method)
    assert places.shape == (210, 2)
    assert places.dtype == np.float32
    assert np.abs(places).max() == pytest.approx(1.0, abs=1e-5)
    assert share_of_own_kind(places, labels) > 0.95


def test_the_rest_is_placed_by_its_landmarks(kinds) -> None:
    codes, labels = kinds
    places = coordinates(codes, _BITS, "tsne", landmarks=60)
    assert np.isfinite(places).all()
    assert share_of_own_kind(places, labels) > 0.95


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_few_and_equal_codes_have_places_too(n: int, method: Method) -> None:
    if method == "opentsne":
        pytest.importorskip("openTSNE")
    places = coordinates(np.full((n, 4), 7, dtype=np.uint8), _BITS, method)
    assert places.shape == (n, 2)
    assert np.isfinite(places).all()


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "find_spec", lambda name: None)
    assert methods() == ["pca", "tsne"]
    with pytest.raises(InvalidInputError, match=r"h2q\[map\]"):
        coordinates(np.zeros((9, 4), dtype=np.uint8), _BITS, "opentsne")
