"""Data sets of a grid: opened once a process, and named by what is in them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from h2q.errors import InvalidInputError
from h2q.experiments.grid import Source, Training

if TYPE_CHECKING:
    from h2q.datasets import Dataset, Items


#: Backbone whose data set holds embeddings learned elsewhere, an array ``LOSS_BITS`` a training.
GIVEN: Final = "embeddings"


@lru_cache(maxsize=8)
def open_dataset(source: Source, key: str | None = None) -> Dataset:
    """Load the data set; splits that it does not bring itself are drawn with seed 0.

    Parameters
    ----------
    source : Source
    key : str, optional
        Array of an `.npz` that holds several.
    """
    from h2q.datasets import load_dataset

    options = {} if key is None else {"features": key}
    return load_dataset(source.spec, random_state=0, **options)


def open_for(training: Training, dataset: Source, backbone: Source) -> Dataset:
    """Open what a training, or the judging of given embeddings, works on."""
    key = f"{training.loss}_{training.bits}" if backbone.spec == GIVEN else None
    return open_dataset(dataset, key)


@lru_cache(maxsize=16)
def digest_of(dataset: Source, backbone: Source) -> str:
    """Return the digest of the data: of its content, or of the file of given embeddings."""
    if backbone.spec != GIVEN:
        return digest(open_dataset(dataset))
    path = Path(dataset.spec.removeprefix("npz:"))
    if not path.is_file():
        raise InvalidInputError(
            f"{dataset.spec!r}: the backbone {GIVEN!r} needs an .npz file with arrays LOSS_BITS"
        )
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


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
