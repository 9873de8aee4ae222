"""What a search found, in every form it can take."""

from __future__ import annotations

import json

import numpy as np
import pytest

from h2q.collections import Neighbours

FOUND = Neighbours(
    [["a.jpg", 7], ["<img onerror=x>"]],
    [np.array([0, 3], np.int32), np.array([9], np.int32)],
    [np.array([1.5, 0.25], np.float32), np.array([-2.0], np.float32)],
    payloads=[[{"label": "cat"}, None], [{"id": "its own", "note": "<b>\n"}]],
)
EMPTY = Neighbours([[], []], [np.empty(0, np.int32)] * 2)


def test_as_dicts_that_json_takes():
    dicts = FOUND.to_dicts()
    assert json.loads(json.dumps(dicts)) == dicts
    assert dicts[0][1] == {"id": 7, "distance": 3, "score": 0.25, "payload": None}
    assert EMPTY.to_dicts() == [[], []]


def test_as_arrays():
    ids, distances, scores = FOUND.to_numpy()
    assert ids.tolist() == [["a.jpg", 7], ["<img onerror=x>", None]]
    assert distances.tolist() == [[0, 3], [9, -1]]
    assert scores[0].tolist() == [1.5, 0.25]
    assert np.isnan(scores[1, 1])
    numbers = Neighbours([[1, 2], [3, 4]], [np.array([0, 1], np.int32)] * 2)
    ids, _, scores = numbers.to_numpy()
    assert (ids.dtype, ids.tolist(), scores) == (np.int64, [[1, 2], [3, 4]], None)
    assert EMPTY.to_numpy()[0].shape == (2, 0)


def test_as_a_data_frame():
    pytest.importorskip("pandas")
    frame = FOUND.to_pandas()
    assert list(frame["query"]) == [0, 0, 1]
    assert list(frame["place"]) == [1, 2, 1]
    assert list(frame["id"]) == [
        "a.jpg",
        7,
        "<img onerror=x>",
    ]  # no key of a payload takes its place
    assert list(frame["label"])[:1] == ["cat"]
    assert list(EMPTY.to_pandas()) == ["query", "place", "id", "distance"]


def test_prints_as_a_table():
    text = repr(FOUND)
    assert text.splitlines()[:4] == [
        "Neighbours of 2 queries",
        " query 0",
        "  #  id     distance  score  payload",
        "  1  a.jpg         0    1.5  {'label': 'cat'}",
    ]
    assert "nothing found" in repr(EMPTY)
    many = Neighbours([list(range(50))] * 9, [np.arange(50, dtype=np.int32)] * 9)
    assert "... and 40 more" in repr(many)
    assert "and 4 more queries" in repr(many)
    assert len(repr(many).splitlines()) < 80


def test_what_a_notebook_shows_is_escaped():
    page = FOUND._repr_html_()
    assert "<img" not in page
    assert "&lt;img onerror=x&gt;" in page
    assert "<b>" not in page
    assert page.count("<table>") == 2
    assert "nothing found" in EMPTY._repr_html_()
