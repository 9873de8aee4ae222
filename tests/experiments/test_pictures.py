from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q.datasets import load_dataset
from h2q.errors import InvalidInputError
from h2q.evaluation import precision_recall_curve
from h2q.experiments.embeddings import Embeddings
from h2q.experiments.pictures import neighbour_grid, precision_recall, rotation_scatter
from h2q.experiments.showcase import draw_showcase, save_showcase

pytest.importorskip("matplotlib", reason="pictures need the extra 'plot'")


def test_a_scatter_draws_the_two_coordinates_it_says() -> None:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((50, 4))
    figure = rotation_scatter({"a": rows, "b": -rows}, rng.integers(0, 3, 50), bits=(1, 3))
    for axes, expected in zip(figure.axes, (rows, -rows), strict=True):
        assert np.asarray(axes.collections[0].get_offsets()) == pytest.approx(expected[:, [1, 3]])


def test_a_scatter_of_many_rows_draws_some_of_them_evenly() -> None:
    figure = rotation_scatter({"a": np.ones((9000, 2))}, np.arange(9000), max_points=100)
    assert len(figure.axes[0].collections[0].get_offsets()) == 100


def test_a_curve_is_drawn_as_it_is() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    rows = rng.standard_normal((3, 8))[labels] + rng.standard_normal((60, 8))
    curve = precision_recall_curve(rows[:20], rows[20:], labels[:20], labels[20:])
    (axes,) = precision_recall({"codes": curve}).axes
    (line,) = axes.get_lines()
    assert np.asarray(line.get_xdata()) == pytest.approx(curve.recall)
    assert np.asarray(line.get_ydata()) == pytest.approx(curve.precision)


def test_frames_say_which_neighbours_are_relevant() -> None:
    image = Image.new("L", (8, 8))
    figure = neighbour_grid(image, {"one": [(image, True), (image, False)], "two": [(image, True)]})
    first, second = figure.axes[:3], figure.axes[3:]
    colours = [axes.spines["left"].get_edgecolor() for axes in first]
    assert len(set(colours)) == 3
    assert second[1].spines["left"].get_edgecolor() == colours[1]
    assert not second[2].get_visible()


def test_nothing_to_draw_is_an_error() -> None:
    for draw in (
        lambda: rotation_scatter({}, np.zeros(3)),
        lambda: precision_recall({}),
        lambda: neighbour_grid(Image.new("L", (8, 8)), {}),
        lambda: rotation_scatter({"a": np.ones((3, 2))}, np.zeros(3), bits=(0, 2)),
    ):
        with pytest.raises(InvalidInputError):
            draw()


def test_the_showcase_of_images_has_every_picture(tmp_path: Path) -> None:
    digits = load_dataset("digits")
    rows = {
        split: np.stack(
            [np.asarray(items.images[i], dtype=np.float32).ravel()[::4] for i in range(len(items))]
        )
        + 1
        for split, items in digits.splits()
    }
    labels = {split: items.labels for split, items in digits.splits()}
    figures = draw_showcase(digits, Embeddings(rows, labels, "", 1.0, 1.0))
    assert set(figures) == {"rotation", "coordinates", "precision_recall", "codes", "neighbours"}
    paths = save_showcase(tmp_path, figures, "png")
    for path in paths:
        assert min(Image.open(path).size) > 100
