"""Features of a frozen backbone as one `.npz` file, from which heads train in seconds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from h2q._files import written_whole
from h2q._lazy import require
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import InvalidInputError

if TYPE_CHECKING:
    from h2q.datasets import Dataset

Splits = dict[str, NDArray[np.float32]]


def extract_features(
    dataset: Dataset,
    backbone: str,
    out: StrPath,
    *,
    image_size: int | None = None,
    crop: float | None = None,
    components: int | None = None,
    batch_size: int = 64,
    progress: bool = False,
) -> Path:
    """Compute the features of every split once and write them with labels, ids and split.

    Parameters
    ----------
    dataset : h2q.datasets.Dataset
        Of images.
    backbone : str
        What `h2q.learning.backbones.create` opens; evaluation mode, weights as they come.
    out : path-like
        ``.npz`` that `h2q.datasets.load_npz` reads. Beside it, ``NAME.parts`` keeps what is done,
        so that an interrupted pass goes on; remove it when the file is there.
    image_size : int, optional
        Input size instead of the backbone's own.
    crop : float, optional
        Share of the resized image that is kept, instead of the backbone's own; 1 is all of it,
        which suits images as small as CIFAR-10's.
    components : int, optional
        Project to so many principal components of the training rows, scaled so that a training
        row has a mean norm of sqrt(components).
    batch_size : int
    progress : bool
        Bars on stderr.

    Returns
    -------
    Path
        `out`.
    """
    backbones = require("h2q.learning.backbones", "train")
    cache = require("h2q.learning.training.feature_cache", "train")
    built = backbones.create(backbone, image_size=image_size)
    if built.preprocessing is None:
        raise InvalidInputError(f"the backbone {backbone!r} takes no images: nothing to extract")
    if crop is not None:
        if not 0 < crop <= 1:
            raise InvalidInputError(f"crop is a share in (0, 1], got {crop}")
        built.preprocessing = dataclasses.replace(built.preprocessing, crop_pct=crop)
    target = as_path(out)
    kept = cache.FeatureCache(target.with_name(f"{target.name}.parts"), built.eval())
    rows = {
        split: kept.features(items, split, batch_size=batch_size, progress=progress)
        for split, items in dataset.splits()
        if len(items) > 0
    }
    return write_features(dataset, rows, target, components=components)


def write_features(
    dataset: Dataset, rows: Splits, out: StrPath, *, components: int | None = None
) -> Path:
    """Write feature rows of each split as one `.npz` file, float16.

    Parameters
    ----------
    dataset : h2q.datasets.Dataset
        For labels, ids and classes.
    rows : dict of str to ndarray, shape (n, d)
        Of each split that has items.
    out : path-like
    components : int, optional
        As in `extract_features`.
    """
    if components is not None:
        rows = project(rows, components)
    items = {split: part for split, part in dataset.splits() if split in rows}
    for split, part in items.items():
        if len(part) != len(rows[split]):
            raise InvalidInputError(f"{split}: {len(rows[split])} rows for {len(part)} items")
    with written_whole(out) as file:
        np.savez_compressed(
            file,
            features=np.concatenate([rows[split] for split in items]).astype(np.float16),
            labels=np.concatenate([part.labels for part in items.values()]),
            split=np.repeat(list(items), [len(part) for part in items.values()]),
            ids=np.array([name for part in items.values() for name in part.ids]),
            classes=np.array(dataset.classes),
        )
    return Path(out)


def project(rows: Splits, components: int) -> Splits:
    """Principal components of the training rows, at a mean norm of sqrt(components)."""
    train = rows["train"].astype(np.float64)
    if not 1 <= components <= min(train.shape):
        raise InvalidInputError(
            f"components must be from 1 to {min(train.shape)} for {train.shape[0]} training rows "
            f"of {train.shape[1]} values, got {components}"
        )
    mean = train.mean(axis=0)
    _, _, axes = np.linalg.svd(train - mean, full_matrices=False)
    axes = axes[:components]
    # The sign of a component is arbitrary; the largest loading is made positive.
    axes *= np.sign(axes[np.arange(components), np.abs(axes).argmax(axis=1)])[:, None]
    scale = components**0.5 / np.linalg.norm((train - mean) @ axes.T, axis=1).mean()
    return {
        split: (((part - mean) @ axes.T) * scale).astype(np.float32) for split, part in rows.items()
    }
