"""Quantization penalties, `penalty(embeddings (n, k)) -> scalar`, and how to add one to a loss.

H²Q needs none: the rotation comes after training. These are the baselines it is compared with.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import nn

from h2q.learning.losses import _registry
from h2q.learning.penalties.cauchy import CauchyPenalty
from h2q.learning.penalties.compose import penalised, squashed
from h2q.learning.penalties.hswd import HSWDPenalty
from h2q.learning.penalties.l1 import L1Penalty
from h2q.learning.penalties.l2 import L2Penalty
from h2q.learning.penalties.log_cosh import LogCoshPenalty

__all__ = [
    "CauchyPenalty",
    "HSWDPenalty",
    "L1Penalty",
    "L2Penalty",
    "LogCoshPenalty",
    "OwnPenalty",
    "create",
    "describe",
    "names",
    "own_penalty",
    "penalised",
    "squashed",
]

_PENALTIES: dict[str, type[nn.Module]] = {
    "cauchy": CauchyPenalty,
    "hswd": HSWDPenalty,
    "l1": L1Penalty,
    "l2": L2Penalty,
    "log_cosh": LogCoshPenalty,
}


class OwnPenalty(NamedTuple):
    """The quantization term of a loss's own paper."""

    name: str
    weight: float


# Weights of the H²Q experiments (their terms, like these, are means over the items of a batch).
# HashNet (its continuation), ADSH (its discrete codes), CEL and HyP² have no such term.
_OWN = {
    "dsh": OwnPenalty("l1", 0.01),
    "dpsh": OwnPenalty("l2", 0.01),
    "dhn": OwnPenalty("log_cosh", 0.01),
    "dch": OwnPenalty("cauchy", 0.01),
    "wglhh": OwnPenalty("l2", 0.01),
}


def names() -> list[str]:
    """Names that `create` knows, sorted."""
    return sorted(_PENALTIES)


def describe(name: str) -> str:
    """One line on the penalty of that name.

    Examples
    --------
    >>> describe("hswd")
    "Sliced Wasserstein distance (HSWD) of each bit's values to balanced codes"
    """
    return _registry.first_line(_registry.look_up(name, _PENALTIES, "penalty"))


def create(name: str, **options: Any) -> nn.Module:
    """Build a penalty by name.

    Parameters
    ----------
    name : str
        One of `names()`; case and hyphens do not matter.
    **options
        The penalty's own parameters; see its class.

    Raises
    ------
    InvalidInputError
        If the name or an option is unknown; the message names the nearest valid one.

    Examples
    --------
    >>> create("cauchy", gamma=5.0).gamma
    5.0
    """
    return _registry.build(_registry.look_up(name, _PENALTIES, "penalty"), name, {}, options)


def own_penalty(loss_name: str) -> OwnPenalty | None:
    """Name and weight of the quantization term of that loss's paper; None if it has none.

    Examples
    --------
    >>> own_penalty("dsh")
    OwnPenalty(name='l1', weight=0.01)
    """
    return _OWN.get(loss_name.lower())
