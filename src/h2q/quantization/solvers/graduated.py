"""The default solver: ITQ's problem made smooth, then sharpened in stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from array_api_compat import array_namespace, device

from h2q._typing import Array, RandomState
from h2q.errors import InvalidInputError
from h2q.quantization.randomness import as_generator
from h2q.quantization.solvers.polar import polar_factor
from h2q.quantization.solvers.procrustes import align_with_signs
from h2q.quantization.solvers.result import SolverResult

#: Sharpness of each stage.
BETAS = (0.5, 1.0, 2.0, 4.0)


def solve(
    z: Array,
    *,
    objective: str = "l2",
    random_state: RandomState = None,
    n_init: int | None = None,
    betas: Sequence[float] = BETAS,
    n_steps: int = 15,
    max_iter: int = 200,
) -> SolverResult:
    """Maximise sum log cosh(beta z R) / beta over orthogonal R for a growing beta.

    As beta grows the objective tends to sum |z R|, whose maximiser has the least L2 quantization
    error: ITQ's problem, which has many poor local optima. At small beta it is smooth.
    Each step replaces R by the polar factor of z' tanh(beta z R), which never lowers the
    (convex) objective (Journée et al. 2010); sign steps to convergence come last.

    Parameters
    ----------
    z : array of shape (n, k)
        Rows of norm sqrt(k).
    objective : {"l2"}
        The only objective this solver minimises.
    random_state : int, numpy Generator, numpy RandomState or None
        Draws the starts, near the identity.
    n_init : int, optional
        Starts, the one with the least error kept. Default 1.
    betas : sequence of float
        Sharpness of each stage.
    n_steps : int
        Steps of each stage.
    max_iter : int
        Most sign steps at the end.

    Returns
    -------
    SolverResult
        ``history["loss"]``: mean of (|z R| - 1)^2 before each sign step of the start kept.

    Raises
    ------
    InvalidInputError
        If `objective` is not "l2".

    References
    ----------
    Gong & Lazebnik, CVPR 2011 (the sign steps); Journée, Nesterov, Richtárik & Sepulchre,
    "Generalized power method for sparse PCA", JMLR 2010, sec. 2 (ascent of a convex function
    over the Stiefel manifold).
    """
    if objective != "l2":
        raise InvalidInputError(
            f"solver 'graduated' minimises only the objective 'l2', got {objective!r}; "
            "use solver='sgd' for the others"
        )
    xp = array_namespace(z)
    generator = as_generator(random_state)
    k = z.shape[1]
    best: SolverResult | None = None
    for _ in range(1 if n_init is None else n_init):
        start = polar_factor(np.eye(k) + 0.02 * generator.standard_normal((k, k)))
        rotation = xp.asarray(start, dtype=z.dtype, device=device(z))
        for beta in betas:
            for _ in range(n_steps):
                rotation = polar_factor(z.T @ xp.tanh(beta * (z @ rotation)), near=rotation)
        result = align_with_signs(z, rotation, max_iter=max_iter)
        if best is None or result.history["loss"][-1] < best.history["loss"][-1]:
            best = result
    if best is None:
        raise InvalidInputError(f"n_init must be at least 1, got {n_init}")
    return best
