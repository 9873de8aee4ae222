"""Losses made of losses: a penalty added, the embeddings squashed."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from h2q.learning.losses._batch import at_least_float32
from h2q.learning.losses.protocol import HOOKS


class _Wrapper(nn.Module):
    """A loss around a loss: it offers the hooks that the inner one offers, and no other."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def __getattr__(self, name: str) -> Any:
        # Called only for names not found otherwise, so `loss` itself goes to nn.Module's look-up.
        if name in HOOKS:
            return getattr(self.loss, name)
        return super().__getattr__(name)


class _Penalised(_Wrapper):
    def __init__(self, loss: nn.Module, penalty: nn.Module, weight: float) -> None:
        super().__init__(loss)
        self.penalty = penalty
        self.weight = weight

    def forward(self, embeddings: Tensor, labels: Tensor, **kwargs: Tensor) -> Tensor:
        similarity: Tensor = self.loss(embeddings, labels, **kwargs)
        quantization: Tensor = self.penalty(embeddings)
        return similarity + self.weight * quantization


class _Squashed(_Wrapper):
    def forward(self, embeddings: Tensor, labels: Tensor, **kwargs: Tensor) -> Tensor:
        value: Tensor = self.loss(at_least_float32(embeddings).tanh(), labels, **kwargs)
        return value


def penalised(loss: nn.Module, penalty: nn.Module, weight: float) -> nn.Module:
    """Add a quantization penalty to a loss: ``loss(z, labels) + weight * penalty(z)``.

    Parameters
    ----------
    loss : nn.Module
        ``loss(embeddings, labels)``, as in `h2q.learning.losses`.
    penalty : nn.Module
        ``penalty(embeddings)``, as in `h2q.learning.penalties`.
    weight : float
        Lambda of the paper; 0 leaves the loss as it is.

    Returns
    -------
    nn.Module
        A loss that offers the hooks of `loss` (schedule, parameter groups, ...).

    Examples
    --------
    >>> import torch
    >>> from h2q.learning import losses, penalties
    >>> cel = losses.create("cel", n_bits=2, n_classes=2)
    >>> both = penalised(cel, penalties.create("l2"), 0.1)
    >>> z, labels = torch.tensor([[3.0, 1.0], [3.0, 1.0]]), torch.ones(2, 1)
    >>> round(both(z, labels).item(), 4)  # the cosine loss is 0, (3 - 1)^2 times 0.1
    0.4
    """
    return _Penalised(loss, penalty, weight)


def squashed(loss: nn.Module) -> nn.Module:
    """Give a loss ``tanh(embeddings)``, as most deep hashing does; it offers the same hooks.

    Signs do not change under tanh, so codes are still the signs of the embeddings.
    ``squashed(penalised(loss, penalty, weight))`` squashes for both.

    Parameters
    ----------
    loss : nn.Module
        ``loss(embeddings, labels)``.

    Returns
    -------
    nn.Module
        ``loss(tanh(embeddings), labels)``.
    """
    return _Squashed(loss)
