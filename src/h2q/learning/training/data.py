"""Batches for training and validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from h2q.learning import bulk
from h2q.learning.backbones.preprocessing import Augmentation, Preprocessing
from h2q.learning.training.sampler import (
    BatchRequest,
    EpochBatches,
    Order,
    StridedBatches,
    seeded,
)

if TYPE_CHECKING:
    from h2q.datasets import Items


class Batch(NamedTuple):
    """What a step takes.

    Attributes
    ----------
    x : Tensor
        Inputs of the network.
    labels : Tensor of float32, shape (n, c)
        Multi-hot.
    indices : Tensor of int64, shape (n,)
        Position of each item in the split.
    """

    x: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor


class RowBatches(Dataset[Batch]):
    """Rows of features held in memory; a whole batch is taken at once."""

    def __init__(self, rows: NDArray[np.float32], labels: NDArray[np.uint8]) -> None:
        self.rows = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
        self.labels = torch.from_numpy(np.ascontiguousarray(labels))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, request: BatchRequest) -> Batch:
        indices = torch.tensor(request.indices)
        return Batch(self.rows[indices], self.labels[indices].float(), indices)


class ImageBatches(Dataset[Batch]):
    """Images read and transformed when they are asked for.

    The random numbers of an item's augmentation depend on the seed, the epoch and the item, and
    neither on the worker that reads it nor on what was read before.
    """

    def __init__(
        self,
        items: Items,
        labels: NDArray[np.uint8],
        preprocessing: Preprocessing,
        augment: Augmentation = "none",
        seed: int = 0,
    ) -> None:
        self.images = bulk.images_of(items)
        self.labels = torch.from_numpy(np.ascontiguousarray(labels))
        self.transform = preprocessing.transform(augment)
        self.is_random = augment != "none"
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, request: BatchRequest) -> Batch:
        indices = torch.tensor(request.indices)
        x = torch.stack([self._input(index, request.epoch) for index in request.indices])
        x = x.contiguous(memory_format=torch.channels_last)
        return Batch(x, self.labels[indices].float(), indices)

    def _input(self, index: int, epoch: int) -> torch.Tensor:
        image = self.images[index]
        if not self.is_random:
            return self.transform(image)
        with seeded(self.seed, epoch, index):
            return self.transform(image)


def training_loader(
    dataset: RowBatches | ImageBatches,
    *,
    batch_size: int,
    seed: int,
    order: Order | None = None,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """Shuffled batches of a known order; see `EpochBatches`."""
    batches = EpochBatches(len(dataset), batch_size, seed, order)
    return _loader(dataset, batches, num_workers, pin_memory)


def ordered_loader(
    dataset: RowBatches | ImageBatches,
    *,
    batch_size: int,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """All items in order."""
    return _loader(dataset, StridedBatches(len(dataset), batch_size), num_workers, pin_memory)


def _loader(
    dataset: RowBatches | ImageBatches,
    batches: EpochBatches | StridedBatches,
    num_workers: int,
    pin_memory: bool,
) -> DataLoader[Batch]:
    return DataLoader(
        dataset,
        sampler=batches,  # one "item" of the dataset is a batch
        batch_size=None,
        num_workers=num_workers,
        pin_memory=pin_memory,
        persistent_workers=num_workers > 0,
        generator=torch.Generator().manual_seed(0),  # keeps the loader off the global generator
    )
