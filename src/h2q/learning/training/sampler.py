"""The order of the items: a function of the seed and the epoch, whatever ran before."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import numpy as np
import torch
from torch.utils.data import Sampler

from h2q.errors import InvalidInputError
from h2q.learning.training.gather import rank_and_world

#: Epoch to the order of the items in it.
Order = Callable[[int], list[int]]


class BatchRequest(NamedTuple):
    """Which items make a batch, and in which epoch."""

    indices: list[int]
    epoch: int


class EpochBatches(Sampler[BatchRequest]):
    """Batches of a shuffled epoch; the last, incomplete one is left out.

    Of `world` processes, each gets every `world`-th item of a batch, so the batches of all
    processes together are those of one process.

    Parameters
    ----------
    n_items : int
        Items to draw from.
    batch_size : int
        Items of a batch over all processes.
    seed : int
        Of the order.
    order : callable, optional
        Epoch to the items' order in it, instead of all items shuffled; called in every process
        and must give the same in each.
    """

    def __init__(
        self, n_items: int, batch_size: int, seed: int, order: Order | None = None
    ) -> None:
        self.n_items = n_items
        self.batch_size = min(batch_size, n_items)
        self.seed = seed
        self.order = order
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that `iter` goes through."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._order(self.epoch)) // self.batch_size if self.order else self._n_batches()

    def _n_batches(self) -> int:
        return self.n_items // self.batch_size

    def __iter__(self) -> Iterator[BatchRequest]:
        return self.of(self.epoch)

    def of(self, epoch: int) -> Iterator[BatchRequest]:
        """Yield the batches of an epoch."""
        rank, world = rank_and_world()
        size = self.batch_size - self.batch_size % world
        if size < 1:
            raise InvalidInputError(f"batch_size {self.batch_size} is below {world} processes")
        indices = self._order(epoch)
        for start in range(0, len(indices) - size + 1, self.batch_size):
            yield BatchRequest(indices[start + rank : start + size : world], epoch)

    def _order(self, epoch: int) -> list[int]:
        if self.order is not None:
            return self.order(epoch)
        generator = np.random.default_rng([self.seed, epoch])
        order: list[int] = generator.permutation(self.n_items).tolist()
        return order


def drawn_by(sampler: Iterable[int], seed: int) -> Order:
    """Order drawn by a sampler, e.g. of pytorch-metric-learning, the same for the same epoch."""

    def order(epoch: int) -> list[int]:
        with seeded(seed, epoch):
            return [int(i) for i in sampler]

    return order


def rows_of(epoch_rows: Callable[[int], torch.Tensor | None], n_items: int, seed: int) -> Order:
    """Shuffled order of the rows a loss wants in an epoch (None: all of them)."""

    def order(epoch: int) -> list[int]:
        wanted = epoch_rows(epoch)
        rows = np.arange(n_items) if wanted is None else wanted.cpu().numpy()
        return [int(i) for i in np.random.default_rng([seed, epoch]).permutation(rows)]

    return order


class StridedBatches(Sampler[BatchRequest]):
    """All items in their order, shared among the processes; a short share repeats its first."""

    def __init__(self, n_items: int, batch_size: int) -> None:
        self.n_items = n_items
        self.batch_size = batch_size

    def _own(self) -> list[int]:
        rank, world = rank_and_world()
        own = list(range(rank, self.n_items, world))
        return own if len(own) == -(-self.n_items // world) else [*own, 0]

    def __len__(self) -> int:
        return -(-len(self._own()) // self.batch_size)

    def __iter__(self) -> Iterator[BatchRequest]:
        return self.of(0)

    def of(self, epoch: int) -> Iterator[BatchRequest]:
        """Yield the batches, which are the same in every epoch."""
        own = self._own()
        for start in range(0, len(own), self.batch_size):
            yield BatchRequest(own[start : start + self.batch_size], epoch)


_LIMIT: Final = 2**32


def seed_of(*parts: int) -> int:
    """Mix whole numbers into a seed."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0]) % _LIMIT


def seed_all(*parts: int) -> None:
    """Seed torch (all devices), numpy and `random` from `parts`."""
    seed = seed_of(*parts)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - losses and samplers of other libraries draw from it
    random.seed(seed)


@contextmanager
def seeded(*parts: int) -> Iterator[None]:
    """Seed the CPU generators from `parts`, and put back afterwards what they were."""
    state = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        seed = seed_of(*parts)
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        yield
    finally:
        torch.set_rng_state(state[0])
        np.random.set_state(state[1])  # noqa: NPY002
        random.setstate(state[2])
