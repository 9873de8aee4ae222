from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from h2q.images import Tile, contact_sheet


def colours(sheet: Image.Image) -> set[tuple[int, ...]]:
    return {tuple(pixel) for pixel in np.asarray(sheet).reshape(-1, 3).tolist()}


def test_every_picture_is_on_the_sheet() -> None:
    shades = [(200, 10 * i, 0) for i in range(7)]
    tiles = [Tile(Image.new("RGB", (300, 200), shade), f"{i}") for i, shade in enumerate(shades)]
    query = Tile(Image.new("RGB", (20, 80), (0, 0, 200)), "query")
    sheet = contact_sheet(tiles, query=query, columns=3, size=64)
    assert set(shades) | {(0, 0, 200)} <= colours(sheet)
    assert sheet.width > 4 * 64
    assert sheet.height > 3 * 64


def test_proportions_are_kept() -> None:
    sheet = contact_sheet([Tile(Image.new("RGB", (200, 100), (255, 0, 0)))], size=100)
    red = (np.asarray(sheet) == (255, 0, 0)).all(axis=-1)
    assert red.any(axis=1).sum() == 50
    assert red.any(axis=0).sum() == 100


@pytest.mark.parametrize(("good", "colour"), [(True, (24, 128, 56)), (False, (197, 34, 31))])
def test_frames_show_relevance(good: bool, colour: tuple[int, int, int]) -> None:
    plain = contact_sheet([Tile(Image.new("RGB", (9, 9)))], size=50)
    framed = contact_sheet([Tile(Image.new("RGB", (9, 9)), good=good)], size=50)
    assert colour not in colours(plain)
    assert colour in colours(framed)


def test_missing_picture_leaves_a_field() -> None:
    assert (241, 243, 244) in colours(contact_sheet([Tile(None, "gone.jpg")]))


def test_long_captions_stay_inside_their_tile() -> None:
    tile = Tile(Image.new("RGB", (50, 50), (255, 0, 0)), "a/very/long/path/" * 10 + "end.jpg")
    sheet = contact_sheet([tile], size=80)
    right_of_tile = np.asarray(sheet)[:, 5 + 8 + 80 :]
    assert (right_of_tile == 255).all()


def test_no_neighbours() -> None:
    assert contact_sheet([], query=Tile(Image.new("RGB", (5, 5)), "q"), title="none").width > 0
