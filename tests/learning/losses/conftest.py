"""Batches, and plain loops over pairs that the slow formulas are written with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

N_BITS = 6
N_CLASSES = 4


@dataclass(frozen=True)
class Pair:
    """What a formula may know of a pair i < j, in plain Python numbers."""

    zi: list[float]
    zj: list[float]
    yi: list[float]
    yj: list[float]

    @property
    def similar(self) -> bool:
        return any(a and b for a, b in zip(self.yi, self.yj, strict=True))

    @property
    def inner(self) -> float:
        return dot(self.zi, self.zj)

    @property
    def cosine(self) -> float:
        return cosine(self.zi, self.zj)


def dot(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def cosine(a: list[float], b: list[float]) -> float:
    return dot(a, b) / math.sqrt(dot(a, a) * dot(b, b))


def all_pairs(z: Tensor, labels: Tensor) -> list[Pair]:
    rows, marks = z.tolist(), labels.tolist()
    n = len(rows)
    return [Pair(rows[i], rows[j], marks[i], marks[j]) for i in range(n) for j in range(i + 1, n)]


def balance(pairs: list[Pair], pair: Pair) -> float:
    same = sum(p.similar == pair.similar for p in pairs)
    return len(pairs) / same


@pytest.fixture
def multi_label() -> tuple[Tensor, Tensor]:
    """12 embeddings in float64 and multi-hot labels with every kind of pair."""
    generator = torch.Generator().manual_seed(5)
    z = torch.randn(12, N_BITS, generator=generator, dtype=torch.float64)
    labels = (torch.rand(12, N_CLASSES, generator=generator) < 0.35).double()
    labels[0] = labels[1] = torch.tensor([1.0, 1.0, 0.0, 0.0])
    labels[2] = torch.tensor([0.0, 0.0, 1.0, 0.0])
    labels[3] = 0.0  # similar to nothing, itself included
    return z, labels


@pytest.fixture
def mean_over_pairs() -> Callable[[Tensor, Tensor, Callable[[Pair, float], float]], float]:
    """Mean of `cost(pair, balancing weight)` over i < j, by plain loops."""

    def mean(z: Tensor, labels: Tensor, cost: Callable[[Pair, float], float]) -> float:
        pairs = all_pairs(z, labels)
        return math.fsum(cost(p, balance(pairs, p)) for p in pairs) / len(pairs)

    return mean
