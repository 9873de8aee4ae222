"""Data sets: digits, folders, CSV files, `.npz` features, and those of the paper.

`load_dataset` returns a `Dataset` of four splits (train, validation, query, database); a split is
`Items`: labels, ids, and features or images. No torch here.
"""

from __future__ import annotations

from h2q.datasets.arrays import load_npz
from h2q.datasets.cifar10 import load_cifar10
from h2q.datasets.coco import load_coco
from h2q.datasets.digits import load_digits
from h2q.datasets.folders import load_folder
from h2q.datasets.imagenet100 import load_imagenet100
from h2q.datasets.items import SPLITS, Dataset, Items
from h2q.datasets.nuswide21 import load_nuswide21
from h2q.datasets.registry import Entry, list_datasets, load_dataset, register
from h2q.datasets.sources import ImageArray, ImageFiles, ImageSource
from h2q.datasets.tables import load_csv

__all__ = [
    "SPLITS",
    "Dataset",
    "Entry",
    "ImageArray",
    "ImageFiles",
    "ImageSource",
    "Items",
    "list_datasets",
    "load_cifar10",
    "load_coco",
    "load_csv",
    "load_dataset",
    "load_digits",
    "load_folder",
    "load_imagenet100",
    "load_npz",
    "load_nuswide21",
    "register",
]
