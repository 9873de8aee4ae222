"""Solvers by name."""

import numpy as np
import pytest

from h2q import HouseholderQuantizer
from h2q.errors import InvalidInputError
from h2q.quantization import solvers
from h2q.quantization.solvers import (
    SolverResult,
    check_options,
    get_solver,
    register_solver,
    solver_names,
    takes_validation,
)


@pytest.mark.parametrize("name", ["graduated", "procrustes", "sgd"])
def test_every_name_gives_an_orthogonal_matrix(name):
    z = np.random.default_rng(0).standard_normal((100, 6))
    z *= np.sqrt(6) / np.linalg.norm(z, axis=1, keepdims=True)
    before = z.copy()
    rotation = get_solver(name)(z, random_state=0).rotation
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(6), atol=1e-10)
    np.testing.assert_array_equal(z, before)


def test_a_typo_names_the_nearest():
    with pytest.raises(InvalidInputError, match="did you mean 'graduated'"):
        get_solver("gradauted")


def test_an_unknown_option_lists_those_there_are():
    with pytest.raises(InvalidInputError, match=r"'sgd' has no option \['n_epoch'\].*n_epochs"):
        check_options("sgd", {"n_epoch": 3})


def test_only_sgd_chooses_by_held_out_rows():
    assert [name for name in solver_names() if takes_validation(get_solver(name))] == ["sgd"]


def test_a_solver_of_ones_own(monkeypatch):
    monkeypatch.setattr(solvers, "_REGISTERED", {})
    swap = np.eye(2)[::-1]

    def solve(z, *, objective="l2", random_state=None, n_init=None, **options):
        return SolverResult(swap, {"loss": [float(len(z))]})

    register_solver("swap", solve)
    assert "swap" in solver_names()
    quantizer = HouseholderQuantizer(solver="swap").fit([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(quantizer.rotation_, swap)
    assert quantizer.history_ == {"loss": [2.0]}
