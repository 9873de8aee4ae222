"""Foreign labels are names, classes or several of them; what is none is named, nothing wraps."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from h2q.errors import InvalidInputError
from h2q.rowfiles.labels import labels_of_payloads, read_labels

NAMES = np.array(["cat", "dog", "sea"])
HOT = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])


def payloads(labels: Any) -> list[dict[str, Any]]:
    return [labels.payload(row) for row in range(len(labels))]


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.float64, ">i2"])
@pytest.mark.parametrize("column", [False, True])
def test_class_numbers(dtype: Any, column: bool) -> None:
    given = np.array([2, -1, 0], dtype)
    given = given[:, None] if column else given
    named = read_labels(given, "t", names=NAMES)
    assert payloads(named) == [{"label": "sea"}, {}, {"label": "cat"}]
    plain = read_labels(given, "t")
    assert payloads(plain) == [{"label": 2}, {}, {"label": 0}]
    for labels, classes in ((named, ["cat", "dog", "sea"]), (plain, None)):
        numbers, found = labels.arrays()
        assert (numbers.tolist(), found) == ([2, -1, 0], classes)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, bool])
def test_multi_hot(dtype: Any) -> None:
    labels = read_labels(HOT.astype(dtype), "t", names=NAMES)
    assert payloads(labels) == [{"labels": ["cat", "sea"]}, {"labels": []}, {"labels": ["dog"]}]
    np.testing.assert_array_equal(labels.arrays()[0], HOT)
    numbers = read_labels(HOT.astype(dtype), "t")
    assert payloads(numbers)[0] == {"labels": [0, 2]}
    np.testing.assert_array_equal(numbers.arrays()[0], HOT)


@pytest.mark.parametrize("n_classes", [3, 8, 11])
def test_packed_multi_hot(n_classes: int) -> None:
    hot = np.random.default_rng(n_classes).integers(0, 2, (40, n_classes), dtype=np.uint8)
    hot[0] = 1  # a byte that is no class number
    packed = np.packbits(hot, axis=1)
    for options in ({"names": [f"w{i}" for i in range(n_classes)]}, {"n_classes": n_classes}):
        np.testing.assert_array_equal(read_labels(packed, "t", **options).arrays()[0], hot)


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (["sea", None, "cat"], [{"label": "sea"}, {}, {"label": "cat"}]),
        (np.array([b"sea", b"cat"]), [{"label": "sea"}, {"label": "cat"}]),
        ([1.0, float("nan")], [{"label": 1}, {}]),
        ([["sea", "cat"], [], None], [{"labels": ["sea", "cat"]}, {"labels": []}, {}]),
        ([[3, 7], [1, 2], [0, 7]], [{"labels": [3, 7]}, {"labels": [1, 2]}, {"labels": [0, 7]}]),
        ([[0, 1], [1, 1]], [{"labels": [1]}, {"labels": [0, 1]}]),  # no class twice: multi-hot
        (np.array([["sea"], ["cat"]]), [{"label": "sea"}, {"label": "cat"}]),
        (
            np.array([["sea", "ox"], ["sky", ""]]),
            [{"labels": ["sea", "ox"]}, {"labels": ["sky"]}],
        ),
        ([True, False], [{"label": 1}, {"label": 0}]),
    ],
)
def test_names_and_lists(given: Any, want: list[dict[str, Any]]) -> None:
    assert payloads(read_labels(given, "t")) == want


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ([0, 1, 5], {"names": NAMES}, "row 12: the class 5 is beyond the 3 classes"),
        ([0, -2], {}, "row 11: the class number -2"),
        (["cat", "cow"], {"names": NAMES}, "row 11: the class 'cow' is not among"),
        ([[1, 7]], {"names": NAMES}, "beyond the 3 classes"),
        ([0.5], {}, "the label 0.5 is a float"),
        ([datetime.date(2024, 1, 1)], {}, "is a date"),
        ([["a", None]], {}, "with a gap in it"),
        ([["a", 1]], {}, "of several kinds"),
        (np.array([[1, -1], [-1, 1]]), {}, "multi-hot, 0 or 1, but hold -1"),
        (np.array([[3, 200]], np.uint8), {}, "packed ones need the names"),
        (HOT[:, :2], {"names": NAMES}, "2 columns for 3 classes"),
        (np.array([[255]], np.uint8), {"n_classes": 3}, "beyond the 3 classes"),
        (np.array([[1], [0]], np.uint8), {"n_classes": 8}, "may be class numbers or 8 packed"),
        (np.zeros((2, 2, 2), int), {}, r"shape \(2, 2, 2\)"),
        (np.array(3), {}, r"shape \(\)"),
        (np.array(["2024"], "M8[Y]"), {}, "the label"),
        (np.array([[1j, 0]]), {}, "complex"),
    ],
)
def test_what_is_no_label_is_named(given: Any, options: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_labels(given, "t", start=10, **options)


def test_two_classes_of_one_name_stay_two() -> None:
    labels = read_labels([0, 1, 1], "t", names=["crane", "crane"])
    assert payloads(labels) == [{"label": "crane"}] * 3
    assert labels.arrays()[0].tolist() == [0, 1, 1]


def test_labels_of_payloads() -> None:
    assert labels_of_payloads([None, {"year": 3}]) is None
    found = labels_of_payloads([{"label": "b"}, None, {"label": "a"}])
    assert found is not None
    numbers, classes = found.arrays()
    assert (numbers.tolist(), classes) == ([1, -1, 0], ["a", "b"])
