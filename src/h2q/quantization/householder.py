"""Householder quantization, the method of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from h2q._numbers import whole_number
from h2q._typing import Array, RandomState
from h2q.errors import InvalidInputError
from h2q.quantization.base import BaseQuantizer
from h2q.quantization.objectives import get_objective
from h2q.quantization.solvers import SolverResult, check_options, get_solver, takes_validation


class HouseholderQuantizer(BaseQuantizer):
    """Rotate rows so that they are close to their signs, then keep the signs.

    Stage 2 of "Deep Hashing via Householder Quantization" (arXiv 2311.04207): similarities that
    depend on inner products only do not change under a rotation, so the rotation can be chosen to
    lose least when each coordinate is replaced by its sign. Needs no labels.

    Parameters
    ----------
    n_bits : int or None, default=None
        Length of a code; at most the number of columns. None keeps all columns. Where it is below
        the number of columns, rows are centred and projected to their `n_bits` leading principal
        directions first; where it is equal, nothing is centred, because the rotation then keeps
        every inner product.
    solver : {"graduated", "sgd", "procrustes"}, default="graduated"
        How the rotation is found. ``"graduated"`` goes from a smooth to the sharp objective;
        ``"sgd"`` is the paper's: minibatch SGD on k Householder vectors, with the paper's settings
        as its defaults; ``"procrustes"`` is the iteration of ITQ.
    objective : {"l2", "l1", "min_entry", "bit_variance"}, default="l2"
        What is minimised (`h2q.quantization.objectives`). Only ``"sgd"`` takes all four.
    n_init : int or None, default=None
        Number of starts, the best kept. None is the solver's own choice.
    max_samples : int, default=50_000
        Most rows the rotation is found on: above it, a uniform sample.
    solver_options : dict or None, default=None
        Further arguments of the solver's function, such as ``{"max_iter": 100}``.
    random_state : int, numpy Generator, RandomState or None, default=None
        An int gives the same codes every time.

    Attributes
    ----------
    n_bits_, n_features_in_, n_samples_seen_, rotation_, reflections_, mean_, components_, history_
        See `BaseQuantizer`.

    Examples
    --------
    >>> import numpy as np
    >>> from h2q import HouseholderQuantizer
    >>> rows = np.random.default_rng(0).laplace(size=(500, 16))
    >>> quantizer = HouseholderQuantizer(random_state=0).fit(rows)
    >>> quantizer.transform(rows[:3]).shape
    (3, 2)
    """

    _min_rows = 2

    def __init__(
        self,
        n_bits: int | None = None,
        *,
        solver: str = "graduated",
        objective: str = "l2",
        n_init: int | None = None,
        max_samples: int = 50_000,
        solver_options: Mapping[str, Any] | None = None,
        random_state: RandomState = None,
    ):
        self.n_bits = n_bits
        self.solver = solver
        self.objective = objective
        self.n_init = n_init
        self.max_samples = max_samples
        self.solver_options = solver_options
        self.random_state = random_state

    def _check_parameters(self) -> None:
        get_objective(self.objective)
        if not isinstance(self.solver_options, Mapping | None):
            raise InvalidInputError(
                f"solver_options is a dict such as {{'n_epochs': 100}}, got "
                f"{self.solver_options!r:.80}"
            )
        check_options(self.solver, dict(self.solver_options or {}))
        if self.n_init is not None:
            whole_number(self.n_init, "n_init")

    def _find_rotation(
        self, z: Array, generator: np.random.Generator, validation: Array | None
    ) -> SolverResult:
        solver = get_solver(self.solver)
        options = dict(self.solver_options or {})
        if validation is not None and takes_validation(solver):
            options["validation"] = validation
        return solver(
            z,
            objective=self.objective,
            random_state=generator,
            n_init=self.n_init,
            **options,
        )
