"""Running moments against numpy's on all rows at once."""

import numpy as np
import pytest

from h2q.quantization.moments import Moments


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_blocks_give_the_moments_of_all_rows(offset):
    rows = np.random.default_rng(0).standard_normal((501, 4)) * [1, 2, 3, 4] + offset
    moments = Moments(4)
    for block in np.split(rows, [1, 2, 100, 400]):
        moments.add(block)
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(rows.T), rtol=1e-8)


def test_integers_and_half_precision_do_not_overflow():
    rows = np.full((3, 2), 60_000, dtype=np.float16)
    moments = Moments(2)
    moments.add(rows)
    moments.add(np.full((1, 2), 250, dtype=np.uint8))
    assert moments.count == 4
    np.testing.assert_allclose(moments.mean, (3 * float(rows[0, 0]) + 250) / 4)


def test_one_row_has_no_spread():
    moments = Moments(2)
    moments.add(np.asarray([[1.0, 2.0]]))
    np.testing.assert_array_equal(moments.covariance, np.zeros((2, 2)))


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_float32_rows_lose_no_more_than_their_own_rounding(offset):
    rows = np.random.default_rng(0).standard_normal((50_000, 16)).astype(np.float32)
    rows *= np.linspace(0.1, 1, 16, dtype=np.float32)
    rows += np.float32(offset)
    moments = Moments(16)
    moments.add(rows)
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(moments.mean, exact.mean(axis=0), rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(moments.covariance, np.cov(exact.T), rtol=1e-6, atol=1e-6)
