"""Order of the items."""

from __future__ import annotations

import random

import numpy as np
import torch

from h2q.learning.training.sampler import (
    EpochBatches,
    StridedBatches,
    drawn_by,
    rows_of,
    seed_all,
    seeded,
)


def _epoch(batches: EpochBatches, epoch: int) -> list[list[int]]:
    batches.set_epoch(epoch)
    return [request.indices for request in batches]


def test_an_epoch_is_a_function_of_seed_and_number() -> None:
    batches = EpochBatches(23, 5, seed=7)
    third = _epoch(batches, 3)
    _epoch(batches, 4)
    assert third == _epoch(EpochBatches(23, 5, seed=7), 3)
    assert third != _epoch(batches, 4)
    assert third != _epoch(EpochBatches(23, 5, seed=8), 3)
    assert [len(batch) for batch in third] == [5] * 4 == [5] * len(batches)
    assert len({i for batch in third for i in batch}) == 20


def test_few_items_are_one_batch() -> None:
    batches = EpochBatches(3, 128, seed=0)
    assert [sorted(batch) for batch in _epoch(batches, 0)] == [[0, 1, 2]]
    assert len(batches) == 1


def test_order_drawn_by_another_sampler_repeats() -> None:
    class Draws:
        def __iter__(self):
            yield from np.random.permutation(10)  # noqa: NPY002
            yield from torch.randperm(10).tolist()
            yield from random.sample(range(10), 10)

    order = drawn_by(Draws(), seed=1)
    before = torch.get_rng_state()
    assert order(0) == order(0)
    assert order(0) != order(1)
    assert torch.equal(torch.get_rng_state(), before)
    batches = EpochBatches(10, 4, 0, order)
    assert len(batches) == len(_epoch(batches, 0)) == 7


def test_rows_a_loss_asks_for() -> None:
    wanted = {0: torch.tensor([2, 5, 7]), 1: None}
    order = rows_of(wanted.get, 9, seed=0)
    assert sorted(order(0)) == [2, 5, 7]
    assert sorted(order(1)) == list(range(9))


def test_all_items_in_order() -> None:
    batches = StridedBatches(7, 3)
    assert [request.indices for request in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(batches) == 3


def test_seeded_puts_the_state_back() -> None:
    seed_all(1)
    expected = _draws()
    seed_all(1)
    with seeded(5, 6):
        first = _draws()
    assert _draws() == expected
    with seeded(5, 6):
        assert _draws() == first
    assert first != expected


def _draws() -> list[float]:
    return [float(torch.rand(1)), np.random.rand(), random.random()]  # noqa: NPY002, S311
