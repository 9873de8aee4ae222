"""The paper's solver: minibatch SGD on Householder vectors."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, device

from h2q._numbers import real_number, whole_number
from h2q._typing import Array, RandomState
from h2q.errors import InvalidInputError
from h2q.quantization.arrays import like
from h2q.quantization.objectives import Objective, get_objective
from h2q.quantization.randomness import as_generator
from h2q.quantization.reflections import (
    compact_wy,
    orthogonal_from_reflections,
    reflection_gradient,
    triangle_mask,
)
from h2q.quantization.solvers.result import SolverResult


def solve(
    z: Array,
    *,
    objective: str = "l2",
    random_state: RandomState = None,
    n_init: int | None = None,
    learning_rate: float = 0.1,
    batch_size: int = 128,
    n_epochs: int = 300,
    validation_fraction: float = 0.1,
    validation: Array | None = None,
) -> SolverResult:
    """Minimise an objective by SGD over products of k Householder reflections.

    The defaults are the paper's recipe (arXiv 2311.04207, sec. 4): plain SGD, learning rate 0.1,
    batches of 128, 300 epochs, k reflections that start at the coordinate vectors, and of the
    rotations at the ends of the epochs the one with the least objective on rows not trained on.
    Gradients are analytic: a step costs one triangular solve and a few small products
    (`h2q.quantization.reflections`).

    Parameters
    ----------
    z : array of shape (n, k)
        Rows of norm sqrt(k).
    objective : {"l2", "l1", "min_entry", "bit_variance"}
        What is minimised (`h2q.quantization.objectives`). ``bit_variance`` is flat: it needs a
        `learning_rate` of some 10 to converge in as many epochs.
    random_state : int, numpy Generator, numpy RandomState or None
        Of the validation split, the order of the rows, and the starts after the first.
    n_init : int or None
        Number of starts; None is 1, the coordinate vectors. Further ones are Gaussian vectors; the
        best on validation is kept.
    learning_rate : float
    batch_size : int
        The last batch of an epoch is smaller where it does not divide the rows.
    n_epochs : int
    validation_fraction : float
        Share of the rows held out, in [0, 1); where it comes to no row at all, the rows trained
        on are validated on. Not used with `validation`.
    validation : array of shape (n_validation, k), optional
        Rows of norm sqrt(k) to validate on; all of `z` is then trained on. The paper has such a
        set.

    Returns
    -------
    SolverResult
        `rotation`; ``history["validation_loss"]``: the objective on validation after each epoch,
        of the start kept.

    Raises
    ------
    InvalidInputError
        If a setting is out of range.
    """
    loss = get_objective(objective)
    starts = 1 if n_init is None else n_init
    for name, value in (("n_init", starts), ("batch_size", batch_size), ("n_epochs", n_epochs)):
        whole_number(value, name)
    learning_rate = real_number(learning_rate, "learning_rate")
    validation_fraction = real_number(validation_fraction, "validation_fraction")
    if not learning_rate > 0:
        raise InvalidInputError(f"learning_rate must be above 0, got {learning_rate}")
    if not 0 <= validation_fraction < 1:
        raise InvalidInputError(f"validation_fraction must be in [0, 1), got {validation_fraction}")
    xp = array_namespace(z)
    generator = as_generator(random_state)
    if validation is None:
        n_held = round(validation_fraction * z.shape[0])
        order = generator.permutation(z.shape[0])
        held, kept = order[:n_held], order[n_held:]
        training = xp.take(z, _indices(kept, z), axis=0)
        validation = xp.take(z, _indices(held, z), axis=0) if n_held else training
    else:
        training, validation = z, like(validation, z)
    k = z.shape[1]
    results = []
    for start in range(starts):
        vectors = (
            xp.eye(k, dtype=z.dtype, device=device(z))
            if start == 0
            else like(generator.standard_normal((k, k)), z)
        )
        results.append(
            _descend(
                vectors, training, validation, loss, generator, learning_rate, batch_size, n_epochs
            )
        )
    return min(results, key=lambda result: min(result.history["validation_loss"]))


def _indices(indices: Array, reference: Array) -> Array:
    xp = array_namespace(reference)
    return xp.asarray(indices, device=device(reference))


def _descend(
    vectors: Array,
    training: Array,
    validation: Array,
    loss: Objective,
    generator: np.random.Generator,
    learning_rate: float,
    batch_size: int,
    n_epochs: int,
) -> SolverResult:
    xp = array_namespace(training)
    n, k = training.shape
    identity = xp.eye(k, dtype=training.dtype, device=device(training))
    mask, strict_mask = triangle_mask(vectors), triangle_mask(vectors, diagonal=0.0)
    best_rotation, best_loss = identity, float("inf")
    validation_losses: list[float] = []
    for _ in range(n_epochs):
        shuffled = xp.take(training, _indices(generator.permutation(n), training), axis=0)
        for begin in range(0, n, batch_size):
            batch = shuffled[begin : begin + batch_size, :]
            a = compact_wy(vectors, mask)
            y = batch @ (identity - vectors.T @ a)
            inner = y.T @ loss.gradient(y)
            gradient = reflection_gradient(vectors, a, inner - inner.T, strict_mask)
            vectors = vectors - learning_rate * gradient
        rotation = orthogonal_from_reflections(vectors)
        validation_losses.append(float(loss.value(validation @ rotation)))
        if validation_losses[-1] < best_loss:
            best_rotation, best_loss = rotation, validation_losses[-1]
    return SolverResult(best_rotation, {"validation_loss": validation_losses})
