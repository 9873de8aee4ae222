r"""The paper's four quantization objectives, with their gradients (arXiv 2311.04207, sec. 3).

Each is a mean over rotated rows y on the sqrt(k) sphere and is smallest where every entry is -1
or +1. None depends on labels.

=============  ==============================================================
name           value for rows y (n, k)
=============  ==============================================================
l2             mean over entries of (y - sign y)^2 = (\|y\| - 1)^2
l1             mean over entries of \|y - sign y\| = \| \|y\| - 1 \|
min_entry      mean over rows of log sum_j exp(-y_j^2), a smooth maximum of -y_j^2:
               minus the square of the entry nearest to zero
bit_variance   mean over entries of s (1 - s), s = 1 / (1 + exp(-y)): the
               variance of a bit that is 1 with the probability s
=============  ==============================================================
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from array_api_compat import array_namespace

from h2q._typing import Array
from h2q.errors import InvalidInputError

__all__ = ["OBJECTIVES", "Objective", "get_objective"]


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss of rotated rows.

    Attributes
    ----------
    name : str
    value : callable
        Rows (n, k) to a scalar of their namespace.
    gradient : callable
        Rows (n, k) to the gradient of `value`, (n, k). Where the objective has a kink (an entry
        of zero, or of exactly one for ``l1``), a subgradient.
    """

    name: str
    value: Callable[[Array], Array]
    gradient: Callable[[Array], Array]


def _sign(y: Array) -> Array:
    # A third of the time of array_api_compat's sign, which looks for NaN; zero gives zero.
    xp = array_namespace(y)
    return y / (xp.abs(y) + xp.finfo(y.dtype).smallest_normal)


def _l2(y: Array) -> Array:
    xp = array_namespace(y)
    return xp.mean((xp.abs(y) - 1) ** 2)


def _l2_gradient(y: Array) -> Array:
    return (y - _sign(y)) * (2 / (y.shape[0] * y.shape[1]))


def _l1(y: Array) -> Array:
    xp = array_namespace(y)
    return xp.mean(xp.abs(xp.abs(y) - 1))


def _l1_gradient(y: Array) -> Array:
    return _sign(y - _sign(y)) * (1 / (y.shape[0] * y.shape[1]))


def _min_entry(y: Array) -> Array:
    xp = array_namespace(y)
    nearest = xp.min(xp.abs(y), axis=1, keepdims=True) ** 2  # of exp(0) there is always one
    sums = xp.sum(xp.exp(nearest - y * y), axis=1)
    return xp.mean(xp.log(sums) - nearest[:, 0])


def _min_entry_gradient(y: Array) -> Array:
    xp = array_namespace(y)
    nearest = xp.min(xp.abs(y), axis=1, keepdims=True) ** 2
    shares = xp.exp(nearest - y * y)
    return y * shares / xp.sum(shares, axis=1, keepdims=True) * (-2 / y.shape[0])


def _sigmoid(y: Array) -> Array:
    # By tanh, because exp(-y) overflows.
    return 0.5 + 0.5 * array_namespace(y).tanh(0.5 * y)


def _bit_variance(y: Array) -> Array:
    s = _sigmoid(y)
    return array_namespace(y).mean(s * (1 - s))


def _bit_variance_gradient(y: Array) -> Array:
    s = _sigmoid(y)
    return s * (1 - s) * (1 - 2 * s) * (1 / (y.shape[0] * y.shape[1]))


#: Every objective by its name.
OBJECTIVES: dict[str, Objective] = {
    "l2": Objective("l2", _l2, _l2_gradient),
    "l1": Objective("l1", _l1, _l1_gradient),
    "min_entry": Objective("min_entry", _min_entry, _min_entry_gradient),
    "bit_variance": Objective("bit_variance", _bit_variance, _bit_variance_gradient),
}


def get_objective(name: str) -> Objective:
    """Return the objective called `name`.

    Raises
    ------
    InvalidInputError
        If there is none; the message lists the names.
    """
    if name not in OBJECTIVES:
        raise InvalidInputError(f"unknown objective {name!r}: choose one of {sorted(OBJECTIVES)}")
    return OBJECTIVES[name]
