"""ITQ's iteration: against the publication's few lines, convergence, poor data."""

import numpy as np
import pytest

from h2q.errors import InvalidInputError
from h2q.quantization.randomness import random_orthogonal
from h2q.quantization.solvers.procrustes import solve


def sphere(rows):
    return rows * np.sqrt(rows.shape[1]) / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def z():
    rng = np.random.default_rng(0)
    signs = np.where(rng.random((400, 12)) < 0.5, -1.0, 1.0)
    rows = signs + 0.8 * rng.standard_normal((400, 12))
    return sphere(rows @ random_orthogonal(12, rng))


def test_is_the_iteration_of_the_publication(z):
    rotation = random_orthogonal(12, np.random.default_rng(5))
    for _ in range(7):
        u, _, vt = np.linalg.svd(np.sign(z @ rotation).T @ z)
        rotation = (u @ vt).T
    # 1e-5 of the current rotation is added to each matrix.
    found = solve(z, random_state=5, max_iter=7).rotation
    np.testing.assert_allclose(found, rotation, atol=1e-3)


def test_loss_is_the_error_and_never_rises(z):
    result = solve(z, random_state=0, max_iter=200)
    losses = np.array(result.history["loss"])
    assert (np.diff(losses) <= 1e-12).all()
    assert len(losses) < 200, "stops where it has converged"
    error = np.mean((np.abs(z @ result.rotation) - 1) ** 2)
    assert error == pytest.approx(losses[-1], abs=1e-6)


def test_tolerance_stops_early(z):
    full = solve(z, random_state=0, max_iter=200).history["loss"]
    short = solve(z, random_state=0, max_iter=200, tol=1e-3).history["loss"]
    assert len(short) < len(full)
    assert short == full[: len(short)]


def test_best_of_several_starts_is_kept(z):
    single = solve(z, random_state=0).history["loss"][-1]
    several = solve(z, random_state=0, n_init=4).history["loss"][-1]
    assert several <= single


@pytest.mark.parametrize("rows", [1, 3])
def test_fewer_rows_than_bits(z, rows):
    rotation = solve(z[:rows], random_state=0).rotation
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(12), atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"objective": "l1"}, "sgd"), ({"n_init": 0}, "n_init"), ({"max_iter": 0}, "max_iter")],
)
def test_bad_settings_are_named(z, settings, named):
    with pytest.raises(InvalidInputError, match=named):
        solve(z, **settings)
