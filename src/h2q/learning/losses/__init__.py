"""Similarity losses, one a module: `loss(embeddings (n, k), labels multi-hot (n, c)) -> scalar`.

Two items are similar when they share a label. The quantization term that some papers add to
their loss is not here: it is a penalty of its own (`h2q.learning.penalties`), to be composed.
What a trainer owes a loss is written in `h2q.learning.losses.protocol`.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from h2q._own_code import names_code
from h2q.learning.losses import _registry, metric_learning, own_losses
from h2q.learning.losses.adsh import ADSHLoss
from h2q.learning.losses.cel import CELLoss
from h2q.learning.losses.dch import DCHLoss
from h2q.learning.losses.dhn import DHNLoss
from h2q.learning.losses.dpsh import DPSHLoss
from h2q.learning.losses.dsh import DSHLoss
from h2q.learning.losses.hashnet import HashNetLoss
from h2q.learning.losses.hyp2 import HyP2Loss
from h2q.learning.losses.metric_learning import MetricLearningLoss, is_of_metric_learning
from h2q.learning.losses.own_losses import check_own, name_of
from h2q.learning.losses.wglhh import WGLHHLoss

__all__ = [
    "ADSHLoss",
    "CELLoss",
    "DCHLoss",
    "DHNLoss",
    "DPSHLoss",
    "DSHLoss",
    "HashNetLoss",
    "HyP2Loss",
    "MetricLearningLoss",
    "WGLHHLoss",
    "check_own",
    "create",
    "describe",
    "is_of_metric_learning",
    "name_of",
    "names",
]

_LOSSES: dict[str, type[nn.Module]] = {
    "adsh": ADSHLoss,
    "cel": CELLoss,
    "dch": DCHLoss,
    "dhn": DHNLoss,
    "dpsh": DPSHLoss,
    "dsh": DSHLoss,
    "hashnet": HashNetLoss,
    "hyp2": HyP2Loss,
    "wglhh": WGLHHLoss,
}

# "pml:TripletMarginLoss" is that loss of pytorch-metric-learning.
_METRIC_LEARNING = "pml:"


def names() -> list[str]:
    """Names that `create` knows, sorted."""
    return sorted(_LOSSES)


def describe(name: str) -> str:
    """One line on the loss of that name.

    Raises
    ------
    InvalidInputError
        If there is no such loss; the message names the nearest one.

    Examples
    --------
    >>> describe("cel")
    'Cosine embedding loss (CEL), with the separation that codes of n_bits can reach'
    """
    return _registry.first_line(_registry.look_up(name, _LOSSES, "loss"))


def create(name: str, *, n_bits: int, n_classes: int, **options: Any) -> nn.Module:
    """Build a loss by name.

    Parameters
    ----------
    name : str
        One of `names()` (case and hyphens do not matter); ``pml:`` and a class name of
        pytorch-metric-learning, such as ``pml:TripletMarginLoss``; or ``package.module:MyLoss``, a
        class or function of one's own that makes a module.
    n_bits : int
        Width k of the embeddings; passed on to a loss that takes it.
    n_classes : int
        Number c of labels; passed on to a loss that takes it.
    **options
        The loss's own parameters; see its class.

    Raises
    ------
    InvalidInputError
        If the name or an option is unknown; the message names the nearest valid one.

    Examples
    --------
    >>> create("cel", n_bits=16, n_classes=10).separation
    0.0
    """
    if name.startswith(_METRIC_LEARNING):
        return metric_learning.create(
            name.removeprefix(_METRIC_LEARNING), n_bits=n_bits, n_classes=n_classes, **options
        )
    if names_code(name):
        return own_losses.create(name, n_bits=n_bits, n_classes=n_classes, **options)
    kind = _registry.look_up(name, _LOSSES, "loss")
    given = {"n_bits": n_bits, "n_classes": n_classes}
    return _registry.build(kind, name, given, options)
