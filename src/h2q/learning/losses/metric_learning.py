"""Any loss, miner or sampler of pytorch-metric-learning, behind this package's contract."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from h2q._lazy import require
from h2q.errors import InvalidInputError
from h2q.learning.losses import _registry
from h2q.learning.losses._batch import full_precision
from h2q.learning.losses.protocol import ParameterGroup

_RATE_FACTOR = 10.0


class MetricLearningLoss(nn.Module):
    """A loss of pytorch-metric-learning, with an optional miner, on one-label-each data.

    Parameters
    ----------
    loss : nn.Module
        Called as ``loss(embeddings (n, k), classes (n,), mined)``: any loss of
        pytorch-metric-learning.
    miner : nn.Module, optional
        Called as ``miner(embeddings, classes)``; what it finds goes to the loss.
    learning_rate_factor : float, default=10
        Learning rate of the loss's own parameters (proxies, class weights), as a multiple of the
        network's. 10 is that of HyP²'s proxies to the hash layer in H²Q's experiments; Proxy-Anchor
        was published with 100.

    Notes
    -----
    A sampler goes to the data loader as it is, fed with `class_indices` of the training labels::

        MPerClassSampler(class_indices(labels), m=4, length_before_new_iter=len(labels))

    References
    ----------
    K. Musgrave, S. Belongie, S.-N. Lim, "PyTorch Metric Learning", arXiv:2008.09164, 2020.

    Examples
    --------
    >>> import torch
    >>> from pytorch_metric_learning.losses import TripletMarginLoss
    >>> loss = MetricLearningLoss(TripletMarginLoss(margin=0.1))
    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> loss(z, torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).item()
    0.0
    """

    def __init__(
        self,
        loss: nn.Module,
        miner: nn.Module | None = None,
        *,
        learning_rate_factor: float = _RATE_FACTOR,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.miner = miner
        self.learning_rate_factor = learning_rate_factor

    def parameter_groups(self, learning_rate: float) -> list[ParameterGroup]:
        """Optimizer groups of the loss's own parameters; none for a loss without any."""
        own = list(self.loss.parameters())
        rate = self.learning_rate_factor * learning_rate
        return [{"params": own, "lr": rate}] if own else []

    @full_precision
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings (n, k), one-hot labels (n, c) -> scalar."""
        classes = class_indices(labels)
        mined = None if self.miner is None else self.miner(embeddings, classes)
        value = torch.as_tensor(self.loss(embeddings, classes, mined))
        # Some losses answer an empty batch with a constant, which has no gradient to go back.
        return value if value.requires_grad else value + 0.0 * embeddings.sum()


def is_of_metric_learning(loss: nn.Module) -> bool:
    """Whether a loss is one of that library, or is derived from one."""
    return any(
        each.__module__.startswith("pytorch_metric_learning.") for each in type(loss).__mro__
    )


def class_indices(labels: Tensor) -> Tensor:
    """One-hot rows to class numbers.

    Parameters
    ----------
    labels : Tensor of shape (n, c)
        One 1 a row.

    Returns
    -------
    Tensor of int64 and shape (n,)

    Raises
    ------
    InvalidInputError
        If a row has several labels, or none.

    Examples
    --------
    >>> class_indices(torch.eye(3)).tolist()
    [0, 1, 2]
    """
    counts = (labels > 0).sum(dim=1)
    wrong = (counts != 1).nonzero()
    if len(wrong):
        row = int(wrong[0])
        raise InvalidInputError(
            f"losses of pytorch-metric-learning take one label an item, but row {row} has "
            f"{int(counts[row])} (and {len(wrong) - 1} more rows have several or none); use a "
            "multi-label loss such as 'cel' or 'hyp2', or pass one-hot labels"
        )
    return labels.argmax(dim=1)


def create(
    name: str, *, n_bits: int, n_classes: int, miner: nn.Module | None = None, **options: Any
) -> MetricLearningLoss:
    """Build a loss of pytorch-metric-learning by its class name.

    Parameters
    ----------
    name : str
        A class of `pytorch_metric_learning.losses`, such as ``"TripletMarginLoss"``.
    n_bits, n_classes : int
        Passed on as `embedding_size` and `num_classes` to the losses that take them.
    miner : nn.Module, optional
    **options
        Passed on to the class, but `learning_rate_factor` to `MetricLearningLoss`.

    Raises
    ------
    InvalidInputError
        If there is no such class; the message names the nearest one.
    MissingExtraError
        If pytorch-metric-learning is not installed.
    """
    module = require("pytorch_metric_learning.losses", "train")
    known = {
        key: kind
        for key, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, nn.Module) and not key.startswith("Base")
    }
    if name not in known:
        raise InvalidInputError(
            f"pytorch-metric-learning has no loss {name!r}{_registry.nearest(name, known)}"
        )
    kind = known[name]
    accepted = inspect.signature(kind).parameters
    sizes = {"embedding_size": n_bits, "num_classes": n_classes}
    factor = options.pop("learning_rate_factor", _RATE_FACTOR)
    arguments = {k: v for k, v in sizes.items() if k in accepted} | options
    return MetricLearningLoss(kind(**arguments), miner, learning_rate_factor=factor)
