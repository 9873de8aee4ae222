"""The default solver: ITQ's problem made smooth, then sharpened in stages."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from h2q._numbers import real_number, whole_number
from h2q._typing import Array, RandomState
from h2q.errors import InvalidInputError
from h2q.quantization.arrays import like
from h2q.quantization.randomness import as_generator, random_orthogonal
from h2q.quantization.solvers.polar import polar_factor, polar_step
from h2q.quantization.solvers.result import SolverResult

#: Sharpness of each stage. At infinity tanh is sign: the last two stages are ITQ's iteration.
BETAS = (0.5, 1.0, 2.0, 4.0, math.inf, math.inf)
#: Stages from this sharpness on see all rows.
_LATE = 4.0
#: Share of the mean slope of tanh that a step leaves out. Above some 1.2 steps oscillate.
_RELAXATION = 0.6
#: Share of the last step added to the point at which the next gradient is taken.
_MOMENTUM = 0.8
#: Added to the error of a row before it becomes a weight, so that no row weighs nothing.
_ERROR_FLOOR = 0.05


def solve(
    z: Array,
    *,
    objective: str = "l2",
    random_state: RandomState = None,
    n_init: int | None = None,
    betas: Sequence[float] = BETAS,
    n_steps: int = 8,
    n_sign_steps: int = 4,
    emphasis: float = 1.0,
    early_rows: int | None = 1000,
) -> SolverResult:
    """Maximise sum_i w_i sum_j log cosh(beta v_ij) / beta, v = z R, while beta grows.

    As beta grows, log cosh(beta v) / beta tends to |v|, and on the sqrt(k) sphere the R with the
    largest sum |v| is the one with the least L2 quantization error: ITQ's problem, which has many
    poor local optima. At small beta the objective is smooth and has few. Each stage starts where
    the one before ended.

    The first start is the identity: what was trained towards signs, by tanh or a penalty, is near
    its optimum already. But where columns are uncorrelated, as after PCA, the identity is a saddle
    and may hold on to its start; so a random start runs beside it through the stages below
    beta = 4, which are cheap, and the better of the two goes on.

    A step is R <- polar(z' W (tanh(beta z R) - c beta z R)). With c = 0 it never lowers the
    objective, which is convex in R. The term with c is the gradient of sum w |v|^2, which is the
    same for every rotation: leaving it out moves no fixed point and lengthens the steps. So does
    momentum: z R is taken at R + 0.8 (R - previous R). Together they make 8 steps worth some 40.

    The weights w_i are proportional to (e_i + 0.05) ** `emphasis`, e_i the error of row i at the
    beginning of the stage, so that with 1 nearly the mean of the *squared* errors of the rows is
    minimised. Rows fitted badly are most like rows not fitted on, whose errors are larger: they
    improve retrieval of the latter (docs/quantization.md).

    Parameters
    ----------
    z : array of shape (n, k)
        Rows of norm sqrt(k).
    objective : {"l2"}
        The only objective this solver minimises.
    random_state : int, numpy Generator, numpy RandomState or None
        Draws the starts and the rows of the early stages.
    n_init : int, optional
        Starts, the identity and random ones. The one with the least loss after the stages below
        beta = 4 goes on. Default 2; with 1 the result hangs on `random_state` only through the
        rows of the early stages.
    betas : sequence of float
        Sharpness of each stage; `math.inf` makes sign steps, those of ITQ.
    n_steps, n_sign_steps : int
        Steps of each stage of finite and of infinite sharpness.
    emphasis : float
        0 weighs all rows alike.
    early_rows : int or None
        The stages with beta below 4 each use a fresh sample of this
        many rows, or of 16 k where that is more; None uses all.

    Returns
    -------
    SolverResult
        ``history["loss"]``: mean of e_i ** (1 + `emphasis`) over all rows, e_i the mean of
        (|v_ij| - 1)^2 over j, after each stage of the start that went on.

    Raises
    ------
    InvalidInputError
        If `objective` is not "l2" or a setting is out of range.

    References
    ----------
    Gong & Lazebnik, CVPR 2011 (sign steps); Journée, Nesterov, Richtárik & Sepulchre, "Generalized
    power method for sparse PCA", JMLR 2010 (ascent of a convex function over the Stiefel manifold);
    Hyvärinen & Oja 2000 (log cosh as a contrast); Blake & Zisserman 1987 (graduated non-convexity).
    """
    if objective != "l2":
        raise InvalidInputError(
            f"solver 'graduated' minimises only the objective 'l2', got {objective!r}; "
            "use solver='sgd' for the others"
        )
    starts = 2 if n_init is None else n_init
    counts = {"n_init": starts, "n_steps": n_steps, "n_sign_steps": n_sign_steps}
    _check(counts if early_rows is None else counts | {"early_rows": early_rows}, betas, emphasis)
    xp = array_namespace(z)
    generator = as_generator(random_state)
    k = z.shape[1]
    n_rows = z.shape[0] if early_rows is None else max(early_rows, 16 * k)
    n_early = sum(1 for beta in betas if beta < _LATE)

    def follow(rotation: Array, stages: Sequence[float]) -> tuple[Array, list[float]]:
        losses = []
        for beta in stages:
            rows = _sample(z, n_rows, generator) if beta < _LATE else z
            steps = n_sign_steps if math.isinf(beta) else n_steps
            rotation = _stage(rows, rotation, beta, steps, emphasis)
            losses.append(float(xp.mean(_row_errors(z @ rotation) ** (1.0 + emphasis))))
        return rotation, losses

    begun = [follow(like(start, z), betas[:n_early]) for start in _starts(k, starts, generator)]
    rotation, losses = min(begun, key=lambda each: each[1][-1]) if n_early else begun[0]
    rotation, late = follow(rotation, betas[n_early:])
    return SolverResult(polar_factor(rotation), {"loss": [*losses, *late]})


def _starts(k: int, count: int, generator: np.random.Generator) -> list[NDArray[np.float64]]:
    """Identity first, random ones after it."""
    return [np.eye(k), *(random_orthogonal(k, generator) for _ in range(count - 1))]


def _check(counts: dict[str, int], betas: Sequence[float], emphasis: float) -> None:
    for name, value in counts.items():
        whole_number(value, name)
    real_number(emphasis, "emphasis")
    if len(betas) == 0 or not all(beta > 0 for beta in betas):
        raise InvalidInputError(f"betas must be one or more numbers above 0, got {betas!r}")
    if not (emphasis >= 0 and math.isfinite(emphasis)):
        raise InvalidInputError(f"emphasis must be a finite number of at least 0, got {emphasis}")


def _sample(z: Array, n_rows: int, generator: np.random.Generator) -> Array:
    """Draw `n_rows` rows without replacement, or take all where there are no more."""
    if n_rows >= z.shape[0]:
        return z
    xp = array_namespace(z)
    chosen = generator.choice(z.shape[0], size=n_rows, replace=False)
    return xp.take(z, xp.asarray(chosen, device=device(z)), axis=0)


def _row_errors(rotated: Array) -> Array:
    """Mean over the columns of (|v| - 1)^2, shape (n,)."""
    xp = array_namespace(rotated)
    return xp.mean((xp.abs(rotated) - 1.0) ** 2, axis=1)


def _stage(z: Array, rotation: Array, beta: float, n_steps: int, emphasis: float) -> Array:
    """Take `n_steps` steps from `rotation` at one sharpness, the weights fixed."""
    xp = array_namespace(z)
    rotated = z @ rotation
    weights = (_row_errors(rotated) + _ERROR_FLOOR) ** emphasis
    weights = weights / xp.mean(weights)
    weighted = z.T * weights
    if math.isinf(beta):
        for _ in range(n_steps):
            rotation = polar_step(weighted @ xp.sign(z @ rotation), rotation)
        return rotation
    slope = 1.0 - float(xp.mean(xp.tanh(beta * rotated) ** 2))
    left_out = (_RELAXATION * slope) * (weighted @ z)
    previous = rotation
    for _ in range(n_steps):
        ahead = beta * (rotation + _MOMENTUM * (rotation - previous))
        matrix = weighted @ xp.tanh(z @ ahead) - left_out @ ahead
        previous, rotation = rotation, polar_step(matrix, rotation)
    return rotation
