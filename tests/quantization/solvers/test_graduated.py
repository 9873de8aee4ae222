"""The default solver: better optima than ITQ, the same everywhere, poor data, real data."""

import math

import numpy as np
import pytest

from h2q.errors import InvalidInputError
from h2q.quantization.randomness import random_orthogonal
from h2q.quantization.solvers import procrustes
from h2q.quantization.solvers.graduated import BETAS, solve


def sphere(rows):
    return rows * np.sqrt(rows.shape[1]) / np.linalg.norm(rows, axis=1, keepdims=True)


def error(z, rotation):
    return float(np.mean((np.abs(z @ rotation) - 1) ** 2))


def departure(rotation):
    return np.abs(rotation.T @ rotation - np.eye(len(rotation))).max()


@pytest.fixture
def z():
    """Rows (1500, 16) that some rotation brings close to their signs."""
    rng = np.random.default_rng(0)
    signs = np.where(rng.random((1500, 16)) < 0.5, -1.0, 1.0)
    rows = signs + 0.4 * rng.standard_normal((1500, 16))
    return sphere(rows @ random_orthogonal(16, rng))


def test_finds_planted_signs(z):
    rng = np.random.default_rng(0)
    signs = np.where(rng.random((1500, 16)) < 0.5, -1.0, 1.0)
    rotation = solve(z, random_state=1).rotation
    # The bits are the planted signs, permuted and negated.
    agreement = np.abs(np.where(z @ rotation > 0, 1.0, -1.0).T @ signs / 1500)
    assert (agreement.max(axis=0) > 0.95).all()
    assert (agreement.max(axis=1) > 0.95).all()


def test_reaches_lower_error_than_itq_where_there_are_many_optima():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((60, 24))
    x = sphere(centres[rng.integers(60, size=1200)] + 0.2 * rng.standard_normal((1200, 24)))
    found = [error(x, solve(x, random_state=seed).rotation) for seed in range(4)]
    itq = [error(x, procrustes.solve(x, random_state=seed).rotation) for seed in range(4)]
    assert np.mean(found) < 0.95 * np.mean(itq)


@pytest.mark.parametrize("rows", ["gaussian", "laplace", "clusters", "low rank"])
def test_no_worse_than_itq_on_other_shapes(rows):
    rng = np.random.default_rng(1)
    x = {
        "gaussian": lambda: rng.standard_normal((1200, 24)),
        "laplace": lambda: rng.laplace(size=(1200, 24)),
        "clusters": lambda: (
            rng.standard_normal((10, 24))[rng.integers(10, size=1200)]
            + 0.2 * rng.standard_normal((1200, 24))
        ),
        "low rank": lambda: rng.standard_normal((1200, 5)) @ rng.standard_normal((5, 24)),
    }[rows]()
    x = sphere(x)
    ours = np.mean([error(x, solve(x, random_state=s, emphasis=0.0).rotation) for s in range(3)])
    itq = np.mean([error(x, procrustes.solve(x, random_state=s).rotation) for s in range(3)])
    assert ours < itq * 1.005


def test_emphasis_lowers_the_error_of_the_rows_fitted_worst():
    rng = np.random.default_rng(3)
    x = sphere(rng.standard_normal((30, 16))[rng.integers(30, size=900)] + 0.3)
    x = sphere(x + 0.3 * rng.standard_normal(x.shape))

    def worst(emphasis):
        errors = [
            np.mean((np.abs(x @ solve(x, random_state=s, emphasis=emphasis).rotation) - 1) ** 2, 1)
            for s in range(4)
        ]
        return np.mean([np.sort(e)[-90:].mean() for e in errors])

    assert worst(1.0) < worst(0.0)


def test_history_is_the_mean_squared_row_error_after_each_stage(z):
    result = solve(z, random_state=0)
    losses = result.history["loss"]
    assert len(losses) == len(BETAS)
    rows = np.mean((np.abs(z @ result.rotation) - 1) ** 2, axis=1)
    assert losses[-1] == pytest.approx(np.mean(rows**2), rel=1e-4)
    assert losses[-1] < losses[0]


def test_orthogonal_to_rounding_and_of_the_input_dtype(z):
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 2e-6)):
        rotation = solve(z.astype(dtype), random_state=0).rotation
        assert rotation.dtype == dtype
        assert departure(rotation) < tolerance


def test_same_seed_same_rotation_and_input_unchanged(z):
    before = z.copy()
    np.testing.assert_array_equal(
        solve(z, random_state=4).rotation, solve(z, random_state=4).rotation
    )
    np.testing.assert_array_equal(z, before)


def test_torch_gives_the_same_rotation(z):
    torch = pytest.importorskip("torch")
    found = solve(torch.tensor(z), random_state=0).rotation
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found.numpy(), solve(z, random_state=0).rotation, atol=1e-7)


def test_the_best_of_several_starts_goes_on(z):
    # The third stage ends the race; with all rows in it, more starts never leave more loss there.
    losses = [
        solve(z, random_state=0, n_init=n, early_rows=None).history["loss"][3] for n in (1, 2, 4)
    ]
    assert losses == sorted(losses, reverse=True)


def test_a_random_start_saves_what_the_identity_holds_on_to():
    # Columns that are independent and symmetric make the identity a saddle of every stage.
    rng = np.random.default_rng(0)
    rotated = sphere(rng.choice([-1.0, 1.0], size=(4000, 8)) + 0.1 * rng.standard_normal((4000, 8)))
    whitened = sphere(rotated @ random_orthogonal(8, rng))
    covariance = np.linalg.eigh(whitened.T @ whitened)[1]
    z = whitened @ covariance
    alone, raced = (error(z, solve(z, random_state=0, n_init=n).rotation) for n in (1, 2))
    assert raced <= alone + 1e-6
    assert raced < 0.02


def test_embeddings_that_are_signs_already_keep_their_coordinates(z):
    rng = np.random.default_rng(0)
    signs = np.sign(rng.standard_normal((5, 16)))[rng.integers(0, 5, 500)]
    trained = sphere(signs + 0.05 * rng.standard_normal((500, 16)))
    rotation = solve(trained, random_state=0).rotation
    assert error(trained, rotation) <= error(trained, np.eye(16)) + 1e-6


@pytest.mark.parametrize(
    "rows",
    [np.eye(16)[:1] * 4, np.tile(np.eye(16)[:1] * 4, (50, 1)), sphere(np.eye(16)[:5] + 0.1)],
    ids=["one row", "one row repeated", "fewer rows than bits"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_do_not_determine_the_rotation(rows, dtype):
    rotation = solve(rows.astype(dtype), random_state=0).rotation
    assert departure(rotation) < 1e-5
    assert error(rows, rotation) < 0.1, "few rows can be brought close to their signs"


def test_one_column():
    rotation = solve(np.array([[1.0], [-1.0], [1.0]]), random_state=0).rotation
    assert np.abs(rotation) == pytest.approx(1.0)


def test_early_stages_on_a_sample_cost_little_quality(z):
    sampled = error(z, solve(z, random_state=0, early_rows=300).rotation)
    whole = error(z, solve(z, random_state=0, early_rows=None).rotation)
    assert sampled < whole * 1.15


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"objective": "min_entry"}, "sgd"),
        ({"n_init": 0}, "n_init"),
        ({"n_steps": 0}, "n_steps"),
        ({"n_sign_steps": 0}, "n_sign_steps"),
        ({"early_rows": 0}, "early_rows"),
        ({"betas": ()}, "betas"),
        ({"betas": (1.0, -1.0)}, "betas"),
        ({"emphasis": -1.0}, "emphasis"),
        ({"emphasis": math.nan}, "emphasis"),
    ],
)
def test_bad_settings_are_named(z, settings, named):
    with pytest.raises(InvalidInputError, match=named):
        solve(z, **settings)


@pytest.mark.shared
def test_lower_error_than_itq_on_rows_not_fitted_on(shared):
    with np.load(shared / "data" / "embeddings_caltech101.npz", allow_pickle=False) as file:
        rows, split = sphere(file["cel_64"].astype(np.float32)), file["split"]
    train, database = rows[split == "train"], rows[split == "database"]
    ours = [error(database, solve(train, random_state=s).rotation) for s in range(3)]
    itq = [error(database, procrustes.solve(train, random_state=s).rotation) for s in range(3)]
    assert max(ours) < min(itq)
