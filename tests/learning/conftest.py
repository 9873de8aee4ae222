"""Small data sets for the learning tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch

from h2q.datasets import Dataset, Items, load_dataset

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="session")
def few_digits(digits: Dataset) -> Dataset:
    """Two hundred digits to train on, where what is reached does not matter."""
    sizes = (200, 50, 50, 50)
    parts = [items.take(np.arange(n)) for (_, items), n in zip(digits.splits(), sizes, strict=True)]
    return Dataset("digits", digits.classes, *parts)


@pytest.fixture(scope="session")
def make_features() -> Callable[..., Dataset]:
    """Clusters of features: (n, 24) rows of 5 classes, or multi-hot labels."""

    def make(n: int = 400, *, multilabel: bool = False, with_validation: bool = True) -> Dataset:
        rng = np.random.default_rng(0)
        centres = rng.standard_normal((5, 24))
        if multilabel:
            labels = (rng.random((n, 5)) < 0.3).astype(np.uint8)
            labels[np.arange(n), rng.integers(0, 5, n)] = 1
            rows = labels @ centres
        else:
            labels = rng.integers(0, 5, n)
            rows = centres[labels]
        rows = (rows + 0.9 * rng.standard_normal(rows.shape)).astype(np.float32)
        items = Items(labels=labels, ids=[str(i) for i in range(n)], features=rows)
        ends = np.cumsum([0, n // 2, n // 8 if with_validation else 0, n // 8, n // 4])
        parts = [items.take(np.arange(a, b)) for a, b in itertools.pairwise(ends)]
        return Dataset("clusters", [f"class {i}" for i in range(5)], *parts)

    return make
