"""Numbers that are none, and rows that are partly none, are refused in our words."""

from __future__ import annotations

import numpy as np
import pytest

from h2q.codes import pack
from h2q.errors import InvalidInputError
from h2q.evaluation import (
    evaluate,
    mean_average_precision,
    neighbour_recall,
    precision_at_k,
    precision_recall_curve,
    precision_within_radius,
    quantization_errors,
    radius_aware_map,
    recall_at_k,
)

RNG = np.random.default_rng(0)
SIDES = (RNG.standard_normal((5, 16)), RNG.standard_normal((30, 16)))
LABELS = (RNG.integers(0, 3, 5), RNG.integers(0, 3, 30))
CODES = tuple(pack(side) for side in SIDES)

TAKE_A_NUMBER = {
    "k of mAP": lambda n: mean_average_precision(*SIDES, *LABELS, k=n),
    "radius of mAP": lambda n: mean_average_precision(*SIDES, *LABELS, radius=n),
    "n_bits": lambda n: mean_average_precision(*CODES, *LABELS, n_bits=n),
    "k of precision": lambda n: precision_at_k(*SIDES, *LABELS, k=n),
    "k of recall": lambda n: recall_at_k(*SIDES, *LABELS, k=n),
    "at": lambda n: precision_recall_curve(*SIDES, *LABELS, at=[n]),
    "radius": lambda n: precision_within_radius(*SIDES, *LABELS, radius=n),
    "max_radius": lambda n: radius_aware_map(*SIDES, *LABELS, max_radius=n),
    "k of evaluate": lambda n: evaluate(*SIDES, *LABELS, k=n),
    "one k of evaluate": lambda n: evaluate(*SIDES, *LABELS, k=[3, n]),
    "radii": lambda n: evaluate(*SIDES, *LABELS, radii=[n]),
    "k of neighbours": lambda n: neighbour_recall(*SIDES, k=n),
}  # fmt: skip


@pytest.mark.parametrize("number", [True, np.True_, 1.5, 3.0, np.float64(3), "3", -1], ids=repr)
@pytest.mark.parametrize("name", TAKE_A_NUMBER)
def test_what_is_no_whole_number_is_refused(name, number):
    with pytest.raises(InvalidInputError, match="must be a whole number"):
        TAKE_A_NUMBER[name](number)


@pytest.mark.parametrize("number", [np.int16(3), np.uint64(3), np.array(3)], ids=repr)
@pytest.mark.parametrize("name", [name for name in TAKE_A_NUMBER if name != "n_bits"])
def test_numbers_of_numpy_are_numbers(name, number):
    assert repr(TAKE_A_NUMBER[name](number)) == repr(TAKE_A_NUMBER[name](3))


def test_more_than_there_are_is_all_of_them():
    whole = mean_average_precision(*SIDES, *LABELS)
    assert mean_average_precision(*SIDES, *LABELS, k=10**30) == whole
    assert mean_average_precision(*SIDES, *LABELS, radius=10**30) == whole
    assert recall_at_k(*SIDES, *LABELS, k=10**30) == 1


def test_masks_are_never_lost():
    masked = np.ma.masked_greater(SIDES[0], 1)
    labels = np.ma.masked_equal(LABELS[0], 1)
    for refused in (
        lambda: mean_average_precision(masked, SIDES[1], *LABELS),
        lambda: mean_average_precision(*SIDES, labels, LABELS[1]),
        lambda: evaluate(SIDES[0], masked, LABELS[0], LABELS[0]),
        lambda: quantization_errors(masked),
        lambda: neighbour_recall(masked, SIDES[1], k=1),
        lambda: pack(masked),
    ):
        with pytest.raises(InvalidInputError, match="mask"):
            refused()
    plain = np.ma.masked_array(SIDES[0])  # no value is masked
    assert mean_average_precision(plain, SIDES[1], *LABELS) == mean_average_precision(
        *SIDES, *LABELS
    )


@pytest.mark.parametrize(
    "rows", [None, "abc", [["a"]], np.array([[1j]]), np.array([["a"]], object)]
)
def test_what_has_no_bits_is_not_packed(rows):
    with pytest.raises(InvalidInputError, match="pack needs"):
        pack(rows)


def test_a_data_frame_is_packed_like_its_rows():
    pandas = pytest.importorskip("pandas")
    assert np.array_equal(pack(pandas.DataFrame(SIDES[0])), CODES[0])
