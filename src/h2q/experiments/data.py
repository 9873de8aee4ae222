"""Data sets of a grid: opened once a process, and named by what is in them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from h2q.experiments.grid import Source

if TYPE_CHECKING:
    from h2q.datasets import Dataset, Items


@lru_cache(maxsize=8)
def open_dataset(source: Source) -> Dataset:
    """Load the data set; splits that it does not bring itself are drawn with seed 0."""
    from h2q.datasets import load_dataset

    return load_dataset(source.spec, random_state=0)


@lru_cache(maxsize=8)
def digest_of(source: Source) -> str:
    """Return the digest of `open_dataset(source)`."""
    return digest(open_dataset(source))


def digest(dataset: Dataset) -> str:
    """Start of the SHA-256 of labels, split and features (of ids, where the items are images).

    Paths do not enter it, so the same data has the same digest on every machine.
    """
    state = hashlib.sha256()
    for split, items in dataset.splits():
        state.update(f"{split} {items.labels.shape} ".encode())
        state.update(np.ascontiguousarray(items.labels).tobytes())
        _add_inputs(state, items)
    return state.hexdigest()[:16]


def _add_inputs(state: hashlib._Hash, items: Items) -> None:
    if items.features is not None:
        state.update(np.ascontiguousarray(items.features).tobytes())
    else:
        state.update("\0".join(items.ids).encode())
