"""The polar factor: optimal, orthogonal, defined where the matrix is not full rank."""

import numpy as np
import pytest
import scipy.linalg

from h2q.quantization.randomness import random_orthogonal
from h2q.quantization.solvers.polar import polar_factor, polar_step


def departure(q):
    return np.abs(q.T @ q - np.eye(len(q))).max()


@pytest.mark.parametrize("k", [1, 2, 16, 65])
def test_factor_is_that_of_scipy(k):
    matrix = np.random.default_rng(k).standard_normal((k, k))
    np.testing.assert_allclose(polar_factor(matrix), scipy.linalg.polar(matrix)[0], atol=1e-9)


def test_current_decides_where_the_matrix_does_not():
    rng = np.random.default_rng(0)
    current = random_orthogonal(8, rng)
    np.testing.assert_allclose(polar_factor(np.zeros((8, 8)), current), current, atol=1e-12)
    low_rank = 100 * np.outer(rng.standard_normal(8), rng.standard_normal(8))
    q = polar_factor(low_rank, current)
    assert departure(q) < 1e-12
    # Least change: seven of the eight directions can be kept, up to one more rotation.
    assert np.linalg.matrix_rank(q - current, tol=1e-3) <= 2


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-4), (np.float32, 1e-4)])
@pytest.mark.parametrize("k", [1, 2, 16, 64])
def test_step_is_orthogonal_and_ascends(k, dtype, tolerance):
    rng = np.random.default_rng(k)
    current = random_orthogonal(k, rng)
    # As within a solver: singular values far apart, not far from symmetric after `current`.
    spread = np.diag(np.logspace(0, -6, k)) + 1e-3 * rng.standard_normal((k, k))
    matrix = (50 * current @ (spread @ spread.T)).astype(dtype)
    q = polar_step(matrix, current.astype(dtype))
    assert q.dtype == dtype
    assert departure(q) < tolerance
    assert np.sum(q * matrix) >= np.sum(current * matrix) * (1 - 1e-5)
    np.testing.assert_allclose(q, polar_factor(matrix, current.astype(dtype)), atol=0.2)


def test_step_agrees_with_the_factor_of_the_same_sum():
    rng = np.random.default_rng(1)
    current = random_orthogonal(24, rng)
    matrix = current @ np.diag(rng.uniform(1, 5, 24)) + 0.2 * rng.standard_normal((24, 24))
    size = np.sqrt(np.linalg.norm(matrix.T @ matrix))
    expected = polar_factor(matrix + 1e-3 * size * current)
    np.testing.assert_allclose(polar_step(matrix, current), expected, atol=1e-4)


def test_step_from_nothing_stays():
    current = random_orthogonal(4, np.random.default_rng(0))
    np.testing.assert_array_equal(polar_step(np.zeros((4, 4)), current), current)


@pytest.mark.parametrize("function", [polar_factor, polar_step])
def test_torch_gives_the_same(function):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    current = random_orthogonal(12, rng)
    matrix = current @ np.diag(rng.uniform(0, 5, 12))
    found = function(torch.tensor(matrix), torch.tensor(current))
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found.numpy(), function(matrix, current), atol=1e-9)
