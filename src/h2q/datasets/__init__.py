"""Data sets: digits, folders, CSV files, `.npz` features, and those of the paper.

`load_dataset` returns a `Dataset` of four splits (train, validation, query, database); a split is
`Items`: labels, ids, and features or images. No torch here.
"""

from __future__ import annotations

from h2q.datasets.arrays import load_npz
from h2q.datasets.digits import load_digits
from h2q.datasets.folders import load_folder
from h2q.datasets.items import SPLITS, Dataset, Items
from h2q.datasets.registry import Entry, list_datasets, load_dataset, register
from h2q.datasets.sources import ImageArray, ImageFiles, ImageSource

__all__ = [
    "SPLITS",
    "Dataset",
    "Entry",
    "ImageArray",
    "ImageFiles",
    "ImageSource",
    "Items",
    "list_datasets",
    "load_dataset",
    "load_digits",
    "load_folder",
    "load_npz",
    "register",
]
