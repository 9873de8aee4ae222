"""One split of a data set (`Items`), and the four splits together (`Dataset`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._typing import IntArray
from h2q.datasets.labels import check_labels, to_multi_hot
from h2q.datasets.sources import ImageSource
from h2q.errors import InvalidInputError

#: The splits, in the order in which they are used.
SPLITS = ("train", "validation", "query", "database")


@dataclass(frozen=True, eq=False)
class Items:
    """The items of one split; holds no torch.

    Attributes
    ----------
    labels : ndarray
        Integer classes, shape (n,), or multi-hot uint8, shape (n, n_classes).
    ids : list of str
        One unique name an item: the relative path of its file, or its row number.
    features : ndarray of float32, shape (n, d), or None
        Precomputed features or embeddings.
    images : ImageSource or None
        `images[i]` is a `PIL.Image.Image`. Items have features, images or both.
    """

    labels: NDArray[Any]
    ids: list[str]
    features: NDArray[np.float32] | None = None
    images: ImageSource | None = None

    def __post_init__(self) -> None:
        if self.features is None and self.images is None:
            raise InvalidInputError("items need features or images")
        sizes = {"labels": len(self.labels), "ids": len(self.ids)}
        if self.features is not None:
            sizes["features"] = len(self.features)
        if self.images is not None:
            sizes["images"] = len(self.images)
        if len(set(sizes.values())) != 1:
            raise InvalidInputError(f"items of different number: {sizes}")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def is_multilabel(self) -> bool:
        """Whether `labels` is multi-hot."""
        return self.labels.ndim == 2

    def multi_hot(self, n_classes: int) -> NDArray[np.uint8]:
        """Labels as 0/1, shape (n, n_classes)."""
        return to_multi_hot(self.labels, n_classes)

    def take(self, indices: IntArray) -> Items:
        """Return the items at `indices`, in that order."""
        indices = np.asarray(indices, dtype=np.intp)
        return Items(
            labels=self.labels[indices],
            ids=[self.ids[i] for i in indices],
            features=None if self.features is None else self.features[indices],
            images=None if self.images is None else self.images.take(indices),
        )


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled data set in the four splits of the retrieval protocol.

    A model is trained on `train` and chosen on `validation`; `query` items are searched among
    `database` items.

    Attributes
    ----------
    name : str
        How it was asked for.
    classes : list of str
        Name of each class, in the order of the labels.
    train, validation, query, database : Items
        The splits. `validation` may be empty.
    skipped : tuple of str
        Files left out because they could not be read, each with the reason.
    notes : tuple of str
        What a reader of results should know of how the splits came about.
    """

    name: str
    classes: list[str]
    train: Items
    validation: Items
    query: Items
    database: Items
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for split, items in self.splits():
            check_labels(items.labels, len(self.classes), f"labels of {self.name}, {split}")
            if items.is_multilabel != self.train.is_multilabel:
                raise InvalidInputError(f"{self.name}: {split} and train have labels of two kinds")
            if len(items) == 0 and split != "validation":
                total = sum(len(each) for _, each in self.splits())
                if 1 < total <= len(self.classes):
                    raise InvalidInputError(
                        f"{self.name}: each of its {total:,} items has a label of its own, so "
                        "nothing can be relevant to another; give labels that several items share"
                    )
                raise InvalidInputError(
                    f"{self.name}: no items in {split}; give more items or another split"
                )

    @classmethod
    def from_split(
        cls,
        name: str,
        classes: list[str],
        items: Items,
        split: Mapping[str, IntArray],
        skipped: tuple[str, ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Dataset:
        """Divide `items` by the positions `split` gives for each of `SPLITS`."""
        train, validation, query, database = (items.take(split[part]) for part in SPLITS)
        return cls(name, classes, train, validation, query, database, skipped, notes)

    def splits(self) -> Iterator[tuple[str, Items]]:
        """Each split with its name, in the order train, validation, query, database."""
        for split in SPLITS:
            yield split, getattr(self, split)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def is_multilabel(self) -> bool:
        """Whether an item may have several labels."""
        return self.train.is_multilabel

    def summary(self) -> dict[str, Any]:
        """Return counts and kinds, ready to print or to write as JSON."""
        return {
            "name": self.name,
            "classes": self.n_classes,
            "labels": "multi" if self.is_multilabel else "single",
            "input": "images"
            if self.train.features is None
            else f"features ({self.train.features.shape[1]})",
            **{split: len(items) for split, items in self.splits()},
            "skipped": len(self.skipped),
            "notes": list(self.notes),
        }
