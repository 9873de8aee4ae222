from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from h2q.codes import pack
from h2q.errors import MissingExtraError
from h2q.reports import pictures

LABELS = np.repeat([0, 1], 30)
ROWS = np.where(LABELS[:, None] == 0, 1.0, -1.0) * np.ones((60, 12))


def test_code_bits_are_drawn_grouped_by_class() -> None:
    order = np.random.default_rng(0).permutation(60)
    figure = pictures.code_bits(pack(ROWS[order]), 12, LABELS[order], ["cat", "dog"])
    drawn = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(drawn, (ROWS > 0).astype(np.uint8))
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["cat", "dog"]


def test_distance_histogram_separates_similar_from_dissimilar_pairs() -> None:
    figure = pictures.distance_histogram(pack(ROWS), 12, LABELS)
    similar, dissimilar = figure.axes[0].containers
    assert [bar.get_height() for bar in similar] == [1.0] + [0.0] * 12
    assert [bar.get_height() for bar in dissimilar] == [0.0] * 12 + [1.0]


def test_distance_histogram_of_several_labels_and_codes() -> None:
    hot = np.eye(2, dtype=np.uint8)[LABELS]
    figure = pictures.distance_histogram({"a": pack(ROWS), "b": pack(-ROWS)}, 12, hot)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
    assert figure.axes[1].containers[0][0].get_height() == 1.0


def test_coordinate_histogram_states_the_error() -> None:
    figure = pictures.coordinate_histogram({"signs": ROWS, "halves": ROWS / 2})
    assert figure.axes[0].get_title() == "signs\nerror 0.000"
    assert figure.axes[1].get_title() == "halves\nerror 0.250"


def test_ranking_scores_places_points_at_their_values() -> None:
    figure = pictures.ranking_scores({"ITQ": {"hamming": 0.5, "asymmetric": 0.75}}, 0.9, "mAP")
    lines = {line.get_label(): line.get_xdata() for line in figure.axes[0].lines}
    assert list(lines["hamming"]) == [50.0]
    assert list(lines["asymmetric"]) == [75.0]
    assert lines["real embeddings, cosine"][0] == pytest.approx(90.0)


def test_png_is_the_same_each_time() -> None:
    first, second = (
        pictures.to_png(pictures.distance_histogram(pack(ROWS), 12, LABELS)) for _ in range(2)
    )
    assert first == second
    assert Image.open(io.BytesIO(first)).size[0] > 400


def test_without_matplotlib_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"h2q\[plot\]"):
        pictures.new_figure(1, 1)
