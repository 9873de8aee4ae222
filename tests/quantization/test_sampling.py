"""The reservoir: all rows while they fit, then a uniform sample that batches cannot change."""

import numpy as np
import pytest

from h2q.quantization.sampling import RowStream


def numbered(n):
    return np.arange(n, dtype=np.float64)[:, None]


def sample(batches, capacity=20, seed=0):
    stream = RowStream(capacity, np.random.default_rng(seed), with_moments=True)
    for batch in batches:
        stream.add(batch)
    return stream


def test_rows_that_fit_are_all_kept_in_order():
    stream = sample(np.split(numbered(20), [3, 11]))
    np.testing.assert_array_equal(stream.sample(), numbered(20))


@pytest.mark.parametrize("cuts", [[5], [20], [19, 21], list(range(1, 300)), [150, 151]])
def test_the_sample_does_not_depend_on_the_batches(cuts):
    whole = sample([numbered(300)])
    parts = sample(np.split(numbered(300), cuts))
    np.testing.assert_array_equal(whole.sample(), parts.sample())
    np.testing.assert_allclose(whole.moments()[0], parts.moments()[0])
    np.testing.assert_allclose(whole.moments()[1], parts.moments()[1])


def test_the_sample_holds_distinct_rows_seen():
    kept = sample(np.split(numbered(1000), [7, 500])).sample().ravel()
    assert len(set(kept)) == 20
    assert set(kept) <= set(range(1000))


def test_every_row_is_as_likely():
    counts = np.zeros(100)
    for seed in range(2000):
        counts[sample([numbered(100)], seed=seed).sample().ravel().astype(int)] += 1
    expected = 2000 * 20 / 100
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    # 99 degrees of freedom; draws without replacement make the statistic smaller, not larger.
    assert chi_squared < 150


def test_moments_are_those_of_every_row_not_of_the_sample():
    rows = np.random.default_rng(0).standard_normal((400, 3))
    mean, covariance = sample(np.split(rows, [10, 100])).moments()
    np.testing.assert_allclose(mean, rows.mean(axis=0))
    np.testing.assert_allclose(covariance, np.cov(rows.T))


def test_the_caller_may_reuse_its_buffer():
    buffer = numbered(10)
    stream = sample([buffer])
    buffer[:] = -1
    np.testing.assert_array_equal(stream.sample(), numbered(10))
