"""What every solver returns, and the shape every solver has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from h2q._typing import Array, RandomState


@dataclass(frozen=True, slots=True)
class SolverResult:
    """An orthogonal matrix and how it was reached.

    Attributes
    ----------
    rotation : array of shape (k, k)
        Orthogonal, determinant +1 or -1; ``z @ rotation`` rotates rows. Same namespace, device and
        dtype as the solver's input.
    history : dict of str to sequence of float
        Named traces, one value a step or an epoch, in the order they were computed (for example
        ``{"loss": [...], "validation_loss": [...]}``). Plain floats.
    """

    rotation: Array
    history: dict[str, Sequence[float]] = field(default_factory=dict)


class Solver(Protocol):
    """A function that finds the rotation of a set of rows.

    Parameters
    ----------
    z : array of shape (n, k)
        Rows already scaled to norm sqrt(k), finite, real floating point, n >= 1. Any array of the
        array-API standard, on its own device and in its own dtype (float32 or float64). A solver
        never changes it in place.
    objective : str
        Name of an objective (`h2q.quantization.objectives.OBJECTIVES`). A solver that cannot
        minimise it raises `h2q.errors.InvalidInputError` naming those it can.
    random_state : int, numpy Generator, numpy RandomState or None
        Everything random is drawn with numpy on the host and moved to the device of `z`, so that
        every namespace gives the same rotation within rounding. Use
        `h2q.quantization.randomness.as_generator`.
    n_init : int or None
        Number of starts, the best kept; None is the solver's own choice.
    validation : array of shape (n_validation, k), optional
        Only in the signature of a solver that chooses by rows held out: such rows, like `z`.
    **options
        Further settings of one solver, keyword only and each with a default (`max_iter`, ...). An
        unknown one is a `TypeError`, as for any function.
    """

    def __call__(
        self,
        z: Array,
        *,
        objective: str = "l2",
        random_state: RandomState = None,
        n_init: int | None = None,
        **options: Any,
    ) -> SolverResult:
        """Find the rotation of `z`."""
        ...
