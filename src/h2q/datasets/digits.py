"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels that come with the library."""

from __future__ import annotations

import numpy as np

from h2q._typing import RandomState
from h2q.datasets.items import Dataset, Items
from h2q.datasets.registry import register
from h2q.datasets.sources import ImageArray
from h2q.datasets.splitting import stratified_split


@register("digits", "1,797 digits of 8x8 pixels, 10 classes; no download", takes_path=False)
def load_digits(*, random_state: RandomState = 0) -> Dataset:
    """Load the digits, greyscale 0 to 255, in a seeded, stratified split.

    Half is for training, a tenth each for validation and queries, the rest is the database.
    """
    from sklearn import datasets

    bunch = datasets.load_digits()
    # The file holds 0 to 16.
    pixels = np.rint(np.asarray(bunch.images) * (255 / 16)).astype(np.uint8)
    labels = np.asarray(bunch.target, dtype=np.int64)
    items = Items(
        labels=labels,
        ids=[f"digit-{i:04d}" for i in range(len(labels))],
        images=ImageArray(pixels),
    )
    parts = stratified_split(labels, random_state=random_state)
    return Dataset.from_split("digits", [str(c) for c in range(10)], items, parts)
