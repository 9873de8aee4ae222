"""Reflections, their product, the way back, and the gradient, against slow definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2q.errors import InvalidInputError
from h2q.quantization.reflections import (
    apply_reflections,
    compact_wy,
    factor_orthogonal,
    orthogonal_from_reflections,
    reflection_gradient,
)


def product_of_definitions(vectors):
    k = vectors.shape[1]
    product = np.eye(k)
    for v in vectors:
        product = product @ (np.eye(k) - 2 * np.outer(v, v) / (v @ v))
    return product


def random_orthogonal(k, determinant, rng):
    q = np.linalg.qr(rng.standard_normal((k, k)))[0]
    if np.linalg.det(q) * determinant < 0:
        q[:, 0] *= -1
    return q


@pytest.mark.parametrize(("m", "k"), [(1, 1), (1, 5), (3, 5), (5, 5), (7, 5), (64, 64)])
def test_product_agrees_with_the_definition(m, k):
    vectors = np.random.default_rng(0).standard_normal((m, k))
    expected = product_of_definitions(vectors)
    np.testing.assert_allclose(orthogonal_from_reflections(vectors), expected, atol=1e-12)
    rows = np.random.default_rng(1).standard_normal((4, k))
    np.testing.assert_allclose(apply_reflections(rows, vectors), rows @ expected, atol=1e-12)


def test_coordinate_vectors_give_minus_the_identity():
    np.testing.assert_array_equal(orthogonal_from_reflections(np.eye(6)), -np.eye(6))


def test_no_reflection_is_the_identity():
    np.testing.assert_array_equal(orthogonal_from_reflections(np.zeros((0, 3))), np.eye(3))
    rows = np.ones((2, 3))
    np.testing.assert_array_equal(apply_reflections(rows, np.zeros((0, 3))), rows)


@given(
    k=st.integers(1, 12),
    determinant=st.sampled_from([1, -1]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_factoring_and_multiplying_gives_the_matrix_back(k, determinant, seed):
    rotation = random_orthogonal(k, determinant, np.random.default_rng(seed))
    vectors = factor_orthogonal(rotation)
    assert len(vectors) <= k
    assert (-1) ** len(vectors) == determinant
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1)
    np.testing.assert_allclose(orthogonal_from_reflections(vectors), rotation, atol=1e-13)


@pytest.mark.parametrize(
    "rotation",
    [
        np.eye(4),
        -np.eye(4),
        np.diag([1.0, -1.0, -1.0, 1.0]),
        np.eye(4)[[1, 2, 3, 0]],
        np.eye(4)[:, [3, 1, 2, 0]],
    ],
    ids=["identity", "minus", "signs", "cycle", "swap"],
)
def test_exact_signs_and_permutations(rotation):
    vectors = factor_orthogonal(rotation)
    np.testing.assert_allclose(orthogonal_from_reflections(vectors), rotation, atol=1e-15)


def test_factoring_next_to_the_identity_does_not_cancel():
    angle = 1e-9
    rotation = np.eye(3)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    product = orthogonal_from_reflections(factor_orthogonal(rotation))
    np.testing.assert_allclose(product, rotation, atol=1e-16)
    assert product[1, 0] == pytest.approx(angle, rel=1e-6)


def test_factoring_float32():
    rotation = random_orthogonal(64, -1, np.random.default_rng(0)).astype(np.float32)
    vectors = factor_orthogonal(rotation)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(orthogonal_from_reflections(vectors), rotation, atol=2e-6)


@pytest.mark.parametrize(
    "matrix", [np.ones((3, 3)), 1.1 * np.eye(3), np.full((2, 2), np.nan), np.ones((2, 3))]
)
def test_what_is_not_orthogonal_is_refused(matrix):
    with pytest.raises(InvalidInputError, match=r"orthogonal|square"):
        factor_orthogonal(matrix)


@pytest.mark.parametrize(("m", "k"), [(1, 4), (3, 4), (4, 4)])
def test_gradient_agrees_with_finite_differences(m, k):
    rng = np.random.default_rng(0)
    rows, weights = rng.standard_normal((2, 20, k))
    vectors = rng.standard_normal((m, k))

    def loss(v):
        return float((np.cos(rows @ product_of_definitions(v)) * weights).sum())

    y = rows @ orthogonal_from_reflections(vectors)
    inner = y.T @ (-np.sin(y) * weights)
    gradient = reflection_gradient(vectors, compact_wy(vectors), inner - inner.T)
    step = 1e-6
    for index in np.ndindex(m, k):
        change = np.zeros((m, k))
        change[index] = step
        slope = (loss(vectors + change) - loss(vectors - change)) / (2 * step)
        assert gradient[index] == pytest.approx(slope, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose((gradient * vectors).sum(axis=1), 0, atol=1e-10)


def test_gradient_agrees_with_autograd():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    rows = torch.from_numpy(rng.standard_normal((30, 8)))
    vectors = torch.from_numpy(rng.standard_normal((8, 8))).requires_grad_()
    product = torch.eye(8, dtype=torch.float64)
    for v in vectors:
        product = product @ (torch.eye(8, dtype=torch.float64) - 2 * torch.outer(v, v) / (v @ v))
    loss = ((rows @ product).abs() - 1).square().mean()
    loss.backward()
    fixed = vectors.detach()
    y = rows @ orthogonal_from_reflections(fixed)
    inner = y.T @ (2 * (y - y.sign()) / y.numel())
    ours = reflection_gradient(fixed, compact_wy(fixed), inner - inner.T)
    torch.testing.assert_close(ours, vectors.grad)
