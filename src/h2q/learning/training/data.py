"""Batches for training and validation, and the stream in which they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from h2q._signals import leave_signals_to_the_parent
from h2q.learning import bulk
from h2q.learning.backbones.preprocessing import Augmentation, Preprocessing, ToPixels
from h2q.learning.training.sampler import BatchRequest, EpochBatches, StridedBatches

if TYPE_CHECKING:
    from h2q.datasets import Items


class Batch(NamedTuple):
    """What a step takes.

    Attributes
    ----------
    x : Tensor
        Rows of features, or bytes of images (n, h, w, c), of which the device makes the inputs.
    labels : Tensor of float32, shape (n, c)
        Multi-hot.
    indices : Tensor of int64, shape (n,)
        Position of each item in the split.
    """

    x: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """Bring it to the device of the network."""
        return Batch(*(part.to(device, non_blocking=True) for part in self))


class Part(Protocol):
    """The items of a split, a batch at a time."""

    labels: torch.Tensor

    def __len__(self) -> int: ...

    def __getitem__(self, request: BatchRequest, /) -> Batch: ...


class Chances:
    """What is drawn for an item in an epoch: by the seed, the epoch and the item alone.

    Neither the process that reads an item nor what was read before has a say in it.
    """

    def __init__(self, augment: Augmentation, n_items: int, seed: int) -> None:
        self.augment: Augmentation = augment
        self.seed = seed
        self._n_items = n_items
        self._epoch = -1
        self._flips: NDArray[np.bool_] = np.zeros(0, dtype=np.bool_)

    def flips(self, indices: Sequence[int], epoch: int) -> NDArray[np.bool_]:
        """Whether left becomes right."""
        if self.augment == "none":
            return np.zeros(len(indices), dtype=np.bool_)
        if epoch != self._epoch:
            self._flips = self._generator(epoch, 0).random(self._n_items) < 0.5
            self._epoch = epoch
        return self._flips[np.asarray(indices, dtype=np.int64)]

    def crop(self, index: int, epoch: int) -> np.random.Generator | None:
        """Return what draws an item's crop; None where there is none."""
        return self._generator(epoch, index + 1) if self.augment == "crop-flip" else None

    def _generator(self, epoch: int, stream: int) -> np.random.Generator:
        # A counter-based generator: no stream has to be drawn up to its place (Salmon et al. 2011).
        bits = np.random.Philox(key=[self.seed, epoch], counter=[0, 0, 0, stream])
        return np.random.Generator(bits)


class RowBatches:
    """Rows of features held in memory, on `device`; a whole batch is taken at once."""

    def __init__(
        self,
        rows: NDArray[np.float32],
        labels: NDArray[np.uint8],
        device: torch.device | None = None,
    ) -> None:
        self.rows = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)).to(device)
        self.labels = torch.from_numpy(np.ascontiguousarray(labels)).to(device)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, request: BatchRequest) -> Batch:
        indices = torch.tensor(request.indices, device=self.rows.device)
        return Batch(self.rows[indices], self.labels[indices].float(), indices)


class PixelBatches:
    """Images that were cut and resized once, held as bytes.

    Parameters
    ----------
    pixels : Tensor of uint8, shape (n, h, w, c)
        On the device of the network.
    labels : ndarray of uint8, shape (n, classes)
    chances : Chances, optional
        Of flips; what is held cannot be cropped anew.
    """

    def __init__(
        self, pixels: torch.Tensor, labels: NDArray[np.uint8], chances: Chances | None = None
    ) -> None:
        self.pixels = pixels
        self.labels = torch.from_numpy(np.ascontiguousarray(labels)).to(pixels.device)
        self.chances = chances

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, request: BatchRequest) -> Batch:
        device = self.pixels.device
        indices = torch.tensor(request.indices, device=device)
        x = self.pixels[indices]
        if self.chances is not None and self.chances.augment != "none":
            flips = torch.from_numpy(self.chances.flips(request.indices, request.epoch))
            x = torch.where(flips.to(device)[:, None, None, None], x.flip(2), x)
        return Batch(x, self.labels[indices].float(), indices)


class ImageBatches:
    """Images read, cut and resized when they are asked for."""

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
        self.pixels: ToPixels = preprocessing.pixels(augment)
        self.chances = Chances(augment, len(items), seed)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, request: BatchRequest) -> Batch:
        indices, epoch = request.indices, request.epoch
        flips = self.chances.flips(indices, epoch)
        x = np.stack(
            [
                self.pixels(self.images[i], self.chances.crop(i, epoch), bool(flip))
                for i, flip in zip(indices, flips, strict=True)
            ]
        )
        at = torch.tensor(indices)
        return Batch(torch.from_numpy(x), self.labels[at].float(), at)


class Parts(Dataset[Batch]):
    """Several splits as one data set, so that the same processes read them all."""

    def __init__(self, parts: Sequence[Part | None]) -> None:
        self.parts = list(parts)

    def __getitem__(self, request: tuple[int, BatchRequest]) -> Batch:
        number, batch = request
        part = self.parts[number]
        if part is None:
            raise IndexError(f"part {number} is not read here")
        return part[batch]


class Requests(Sampler[tuple[int, BatchRequest]]):
    """What a run asks of some of its parts, epoch after epoch, in their order."""

    def __init__(self, batches: dict[int, EpochBatches | StridedBatches], epochs: range) -> None:
        self.batches, self.epochs = batches, epochs

    def __iter__(self) -> Iterator[tuple[int, BatchRequest]]:
        for epoch in self.epochs:
            for number, batches in self.batches.items():
                for request in batches.of(epoch):
                    yield number, request


class Feed:
    """The batches of all parts of a run: what is held at once, what is read ahead.

    The processes that read images live as long as the run and read ahead across its epochs, the
    validation's images while it trains: no epoch waits for its first batch.

    Parameters
    ----------
    parts : sequence of Part
    batches : sequence of EpochBatches or StridedBatches
        One a part.
    epochs : range
        Those to come; in each every part is asked for once, in order.
    num_workers : int
        Processes that read images; 0 reads when a batch is asked for.
    pin_memory : bool
        For the way to a GPU.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        batches: Sequence[EpochBatches | StridedBatches],
        epochs: range,
        *,
        num_workers: int,
        pin_memory: bool,
    ) -> None:
        self._parts, self._batches = list(parts), list(batches)
        read = {
            number: each
            for number, (part, each) in enumerate(zip(parts, batches, strict=True))
            if isinstance(part, ImageBatches) and num_workers > 0
        }
        self._read = frozenset(read)
        self._stream: Iterator[Batch] = iter(())
        if read and len(epochs):
            self._stream = iter(
                DataLoader(
                    # What is held may be on a GPU, where no process but this one may touch it.
                    Parts([part if i in read else None for i, part in enumerate(parts)]),
                    sampler=Requests(read, epochs),  # one "item" of the data set is a batch
                    batch_size=None,
                    num_workers=num_workers,
                    pin_memory=pin_memory,
                    prefetch_factor=4,
                    worker_init_fn=leave_signals_to_the_parent,
                    generator=torch.Generator().manual_seed(0),  # keeps off the global one
                )
            )

    def epoch(self, part: int, epoch: int) -> Iterator[Batch]:
        """Yield the batches of a part in an epoch."""
        for request in self._batches[part].of(epoch):
            if part in self._read:
                yield next(self._stream)
            else:
                yield self._parts[part][request]

    def close(self) -> None:
        """End the processes."""
        self._stream = iter(())
