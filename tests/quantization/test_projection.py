"""Principal components against scikit-learn's."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from h2q.errors import InvalidInputError
from h2q.quantization.projection import principal_components


def components_of(rows, n):
    return principal_components(rows.mean(axis=0), np.cov(rows.T), n, len(rows))


def test_agrees_with_scikit_learn_up_to_signs():
    rows = np.random.default_rng(0).standard_normal((300, 8)) * np.arange(1, 9) + 5
    ours = components_of(rows, 3)
    theirs = PCA(3).fit(rows)
    np.testing.assert_allclose(ours.mean, theirs.mean_)
    signs = np.sign((ours.components * theirs.components_).sum(axis=1))
    np.testing.assert_allclose(ours.components, signs[:, None] * theirs.components_, atol=1e-10)


def test_signs_are_fixed():
    rows = np.random.default_rng(1).standard_normal((50, 5))
    components = components_of(rows, 4).components
    largest = np.abs(components).argmax(axis=1)
    assert (components[np.arange(4), largest] > 0).all()


def test_too_few_rows():
    with pytest.raises(InvalidInputError, match=r"at least 4 rows.*n_samples=3"):
        components_of(np.random.default_rng(0).standard_normal((3, 8)), 4)


def test_equal_rows():
    with pytest.raises(InvalidInputError, match="all equal"):
        components_of(np.full((10, 4), 7.1), 2)


def test_constant_columns_are_counted():
    rows = np.random.default_rng(0).standard_normal((50, 6))
    rows[:, 2:] = 3.0
    with pytest.warns(UserWarning, match="only 2 of the 4 directions"):
        components_of(rows, 4)
