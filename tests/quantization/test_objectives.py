"""The objectives by hand and their gradients by finite differences."""

import numpy as np
import pytest

from h2q.errors import InvalidInputError
from h2q.quantization.objectives import OBJECTIVES, get_objective

ROWS = np.asarray([[0.5, -2.0, 1.0], [-0.25, 1.5, -1.0]])
SIGMOID = 1 / (1 + np.exp(-ROWS))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("l2", (0.25 + 1 + 0 + 0.5625 + 0.25 + 0) / 6),
        ("l1", (0.5 + 1 + 0 + 0.75 + 0.5 + 0) / 6),
        ("min_entry", np.log(np.exp(-(ROWS**2)).sum(axis=1)).mean()),
        ("bit_variance", (SIGMOID * (1 - SIGMOID)).mean()),
    ],
)
def test_values_by_hand(name, expected):
    assert float(get_objective(name).value(ROWS)) == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_gradients_agree_with_finite_differences(name):
    objective = get_objective(name)
    rows = np.random.default_rng(0).standard_normal((7, 5)) * 1.3
    gradient = objective.gradient(rows)
    for index in np.ndindex(*rows.shape):
        step = np.zeros_like(rows)
        step[index] = 1e-6
        slope = (objective.value(rows + step) - objective.value(rows - step)) / 2e-6
        assert gradient[index] == pytest.approx(float(slope), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_signs_are_the_best_rows_of_their_norm(name):
    value = get_objective(name).value
    rng = np.random.default_rng(0)
    signs = np.where(rng.random((1, 8)) < 0.5, -1.0, 1.0)
    others = rng.standard_normal((50, 8))
    others *= np.sqrt(8) / np.linalg.norm(others, axis=1, keepdims=True)
    assert all(value(signs) < value(row[None, :]) for row in others)


def test_min_entry_is_dominated_by_the_entry_nearest_to_zero():
    # arXiv 2311.04207 calls it min entry; log-sum-exp of -y^2 is its smooth form.
    value = get_objective("min_entry").value
    rows = np.asarray([[0.1, 5.0, -6.0, 7.0]])
    assert float(value(rows)) == pytest.approx(-0.01, abs=1e-9)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_extreme_and_zero_entries_give_finite_gradients(name):
    objective = get_objective(name)
    rows = np.asarray([[0.0, 1e-38, -1e4, 1.0], [0.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    assert np.isfinite(objective.value(rows))
    gradient = objective.gradient(rows)
    assert np.isfinite(gradient).all()
    assert gradient.dtype == np.float32


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InvalidInputError, match=r"'l3'.*bit_variance.*l2"):
        get_objective("l3")
