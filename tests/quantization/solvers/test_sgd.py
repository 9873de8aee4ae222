"""The paper's solver: against SGD by autograd, its recipe, its four objectives."""

import inspect

import numpy as np
import pytest

from h2q.errors import InvalidInputError
from h2q.quantization.objectives import OBJECTIVES, get_objective
from h2q.quantization.randomness import random_orthogonal
from h2q.quantization.solvers.sgd import solve


def sphere(rows):
    return rows * np.sqrt(rows.shape[1]) / np.linalg.norm(rows, axis=1, keepdims=True)


def rotated_signs(n, k, noise):
    """Rows that a rotation brings close to their signs."""
    rng = np.random.default_rng(0)
    signs = np.where(rng.random((n, k)) < 0.5, -1.0, 1.0) + noise * rng.standard_normal((n, k))
    return sphere(signs @ random_orthogonal(k, rng))


def test_defaults_are_the_recipe_of_the_paper():
    defaults = {name: p.default for name, p in inspect.signature(solve).parameters.items()}
    assert defaults["objective"] == "l2"
    assert defaults["learning_rate"] == 0.1
    assert defaults["batch_size"] == 128
    assert defaults["n_epochs"] == 300


def test_steps_are_those_of_autograd_on_the_product_of_reflections():
    torch = pytest.importorskip("torch")
    z, held_out = np.split(rotated_signs(120, 6, 0.3), [100])
    ours = solve(z, random_state=3, batch_size=32, n_epochs=4, validation=held_out)

    generator = np.random.default_rng(3)
    vectors = torch.eye(6, dtype=torch.float64, requires_grad=True)

    def product():
        rotation = torch.eye(6, dtype=torch.float64)
        for v in vectors:
            rotation = rotation - 2 * torch.outer(rotation @ v, v) / (v @ v)
        return rotation

    losses = []
    for _ in range(4):
        shuffled = torch.from_numpy(z[generator.permutation(100)])
        for batch in shuffled.split(32):
            y = batch @ product()
            (gradient,) = torch.autograd.grad((y - y.sign()).square().mean(), vectors)
            vectors = (vectors - 0.1 * gradient).detach().requires_grad_()
        with torch.no_grad():
            y = torch.from_numpy(held_out) @ product()
        losses.append(float((y - y.sign()).square().mean()))
    np.testing.assert_allclose(ours.history["validation_loss"], losses, rtol=1e-9)
    assert losses == sorted(losses, reverse=True)
    np.testing.assert_allclose(ours.rotation, product().detach().numpy(), atol=1e-9)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_each_objective_goes_down(name):
    z = rotated_signs(400, 8, 0.2)
    value = get_objective(name).value
    result = solve(z, objective=name, random_state=0, n_epochs=40, learning_rate=0.5)
    assert value(z @ result.rotation) < value(-z)
    assert min(result.history["validation_loss"]) < result.history["validation_loss"][0]


def test_a_hidden_rotation_is_found():
    z = rotated_signs(1000, 8, 0.05)
    result = solve(z, random_state=0, n_epochs=100, learning_rate=1.0, n_init=3)
    assert get_objective("l2").value(z @ result.rotation) < 0.01


def test_the_rotation_kept_is_the_best_on_validation():
    z, held_out = np.split(rotated_signs(128, 4, 0.5), [64])
    result = solve(z, random_state=0, n_epochs=30, learning_rate=8.0, validation=held_out)
    losses = result.history["validation_loss"]
    assert min(losses) < losses[-1]
    assert get_objective("l2").value(held_out @ result.rotation) == pytest.approx(min(losses))


def test_rows_held_out_are_not_trained_on():
    z = rotated_signs(50, 4, 0.3)
    order = np.random.default_rng(0).permutation(50)
    split = solve(z, random_state=0, n_epochs=3, validation_fraction=0.2)
    generator = np.random.default_rng(0)
    generator.permutation(50)
    given = solve(z[order[10:]], random_state=generator, n_epochs=3, validation=z[order[:10]])
    np.testing.assert_array_equal(split.rotation, given.rotation)


def test_more_starts_are_never_worse_on_validation():
    z = rotated_signs(300, 8, 0.3)
    one = solve(z, random_state=0, n_epochs=10)
    four = solve(z, random_state=0, n_epochs=10, n_init=4)
    assert min(four.history["validation_loss"]) <= min(one.history["validation_loss"])


def test_float32_stays_orthogonal_for_thousands_of_steps():
    z = rotated_signs(1280, 32, 0.5).astype(np.float32)
    rotation = solve(z, random_state=0, n_epochs=150).rotation
    assert rotation.dtype == np.float32
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(32), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("batch_size", 0),
        ("n_epochs", 0),
        ("n_init", 0),
        ("validation_fraction", 1.0),
        ("objective", "l3"),
    ],
)
def test_settings_out_of_range(name, value):
    with pytest.raises(InvalidInputError, match=name):
        solve(rotated_signs(10, 2, 0.1), random_state=0, **{name: value})
