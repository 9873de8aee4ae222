"""What a loss offers and what a trainer owes it.

Every loss is an `nn.Module` called as ``loss(embeddings, labels)`` (`SimilarityLoss`). Some offer
more. A trainer asks with `has_epoch_start(loss)` and so on, and then:

`HasEpochStart`
    calls ``on_epoch_start(epoch, n_epochs)`` before the first batch of each epoch (HashNet).
`HasParameterGroups`
    adds ``parameter_groups(learning_rate)`` to the optimizer's groups, moves the loss to the
    model's device and saves its ``state_dict()`` in checkpoints (HyP², metric learning).
`DrivenByDataset`
    (ADSH) drives the alternating optimisation::

        loss.on_dataset(train_labels)                      # once, before training or resuming
        for epoch in range(n_epochs):
            rows = loss.epoch_rows(epoch)                  # train on these rows alone (None: all)
            for indices, x, y in batches(rows):            # indices: rows of train_labels
                loss(model(x), y, indices=indices).backward()
            rows = loss.rows_to_embed(epoch)               # None: nothing to do after this epoch
            if rows is not None:
                with torch.no_grad():
                    loss.on_epoch_end(model(train_x[rows]), rows)

    A row's index is its place in the labels given to `on_dataset`, whatever the order of the
    batches. On several processes all of them must call `on_epoch_end` with the same embeddings.

`hasattr` decides, so a wrapper (`penalised`, `squashed`) offers exactly what the loss inside it
offers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypedDict, TypeGuard

from torch import Tensor, nn

__all__ = [
    "HOOKS",
    "DrivenByDataset",
    "HasEpochStart",
    "HasParameterGroups",
    "ParameterGroup",
    "SimilarityLoss",
    "driven_by_dataset",
    "has_epoch_start",
    "has_parameter_groups",
]

HOOKS = frozenset(
    {
        "on_epoch_start",
        "parameter_groups",
        "on_dataset",
        "epoch_rows",
        "rows_to_embed",
        "on_epoch_end",
    }
)
"""Names a wrapper passes on to the loss inside it."""


class ParameterGroup(TypedDict):
    """A parameter group of a `torch.optim` optimizer."""

    params: Iterable[nn.Parameter]
    lr: float


class SimilarityLoss(Protocol):
    """Every loss of this package."""

    def __call__(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings (n, k) and multi-hot labels (n, c) to a scalar."""


class HasEpochStart(Protocol):
    """A loss with a schedule."""

    def on_epoch_start(self, epoch: int, n_epochs: int) -> None:
        """Epoch `epoch` (from 0) of `n_epochs` begins."""


class HasParameterGroups(Protocol):
    """A loss with parameters of its own to learn."""

    def parameter_groups(self, learning_rate: float) -> list[ParameterGroup]:
        """Return groups for the optimizer; `learning_rate` is the network's."""


class DrivenByDataset(Protocol):
    """A loss that looks at the whole training set, and alternates with the network."""

    def on_dataset(self, labels: Tensor) -> None:
        """Labels of all training rows, multi-hot (n, c)."""

    def epoch_rows(self, epoch: int) -> Tensor | None:
        """Rows to train on in this epoch, as int64; None for all."""

    def rows_to_embed(self, epoch: int) -> Tensor | None:
        """Rows whose embeddings `on_epoch_end` wants after this epoch; None for no call."""

    def on_epoch_end(self, embeddings: Tensor, indices: Tensor) -> None:
        """Embeddings (m, k) of the rows `indices` (m,), without gradient."""


def has_epoch_start(loss: nn.Module) -> TypeGuard[HasEpochStart]:
    """Whether the loss has a schedule."""
    return hasattr(loss, "on_epoch_start")


def has_parameter_groups(loss: nn.Module) -> TypeGuard[HasParameterGroups]:
    """Whether the loss may have parameters of its own."""
    return hasattr(loss, "parameter_groups")


def driven_by_dataset(loss: nn.Module) -> TypeGuard[DrivenByDataset]:
    """Whether the loss wants the whole training set's labels and each batch's `indices`."""
    return hasattr(loss, "on_dataset")
