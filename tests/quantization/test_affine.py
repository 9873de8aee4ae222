"""One matrix and one offset give the codes that centring, projecting and rotating give."""

import numpy as np
import pytest

from h2q import HouseholderQuantizer
from h2q.errors import InvalidInputError
from h2q.quantization.affine import Affine

torch = pytest.importorskip("torch")


def step_by_step(quantizer, rows):
    rows = rows.astype(np.float64)
    if quantizer.mean_ is not None:
        rows = (rows - quantizer.mean_) @ np.asarray(quantizer.components_, np.float64).T
    return rows @ np.asarray(quantizer.rotation_, np.float64)


@pytest.mark.parametrize("n_bits", [None, 8, 5, 1])
@pytest.mark.parametrize("module", ["numpy", "torch"])
def test_codes_are_the_signs_step_by_step(rows, n_bits, module):
    quantizer = HouseholderQuantizer(n_bits, random_state=0).fit(rows)
    given = rows if module == "numpy" else torch.from_numpy(rows)
    expected = np.packbits(step_by_step(quantizer, rows) > 0, axis=1)
    np.testing.assert_array_equal(np.asarray(quantizer.transform(given)), expected)


@pytest.mark.parametrize("module", ["numpy", "torch"])
def test_rows_far_from_zero_keep_their_digits(rows, module):
    """Folded in float32, the subtraction of 10,000 would leave three digits of rows of size 1."""
    far = (rows + 1e4).astype(np.float32)
    quantizer = HouseholderQuantizer(8, random_state=0).fit(far.astype(np.float64))
    given = far if module == "numpy" else torch.from_numpy(far)
    exact = step_by_step(quantizer, far)
    exact *= np.sqrt(8) / np.linalg.norm(exact, axis=1, keepdims=True)
    clear = np.abs(exact) > 1e-2
    rotated = np.asarray(quantizer.rotate(given))
    np.testing.assert_allclose(rotated, exact, atol=5e-3)
    np.testing.assert_array_equal((rotated > 0)[clear], (exact > 0)[clear])
    # Only the long way is that exact.
    y, doubtful = Affine.of(quantizer.rotation_, quantizer._fitted().projection).apply(
        far.astype(np.float64)
    )
    assert doubtful.all()
    assert y.shape == (300, 8)


def test_rows_that_overflow_and_vanish_are_coded(rows):
    small = rows.astype(np.float32)
    quantizer = HouseholderQuantizer(random_state=0).fit(small)
    expected = quantizer.transform(small)
    factors = np.resize([1.0, 1e36, 1e-36], (300, 1)).astype(np.float32)
    scaled = small * factors
    assert np.isfinite(scaled).all()
    clear = (np.abs(quantizer.rotate(small)) > 1e-3).all(axis=1)
    np.testing.assert_array_equal(quantizer.transform(scaled)[clear], expected[clear])


def test_doubtful_rows_among_good_ones_change_nothing_else(rows):
    quantizer = HouseholderQuantizer(5, random_state=0).fit(rows)
    near = rows.copy()
    near[40] = quantizer.mean_ + 1e-9 * rows[40]
    np.testing.assert_array_equal(
        np.delete(quantizer.transform(near), 40, axis=0),
        np.delete(quantizer.transform(rows), 40, axis=0),
    )
    expected = np.packbits(step_by_step(quantizer, near[40:41]) > 0, axis=1)
    np.testing.assert_array_equal(quantizer.transform(near)[40:41], expected)


@pytest.mark.parametrize("n_bits", [None, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_entry_is_found_whatever_it_meets(bad, n_bits):
    """A direction of zeros must not hide it."""
    rows = np.zeros((50, 4))
    rows[:, 0] = np.linspace(-3, 3, 50)
    rows[:, 1] = 1.0
    quantizer = HouseholderQuantizer(n_bits, random_state=0).fit(rows)
    rows[7, 3] = bad
    with pytest.raises(InvalidInputError, match="row 7 contain"):
        quantizer.transform(rows)
