"""A data set put together from published split lists and the images they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._typing import RandomState
from h2q.datasets.files import Verify, listed, unreadable
from h2q.datasets.hashing_lists import (
    HashingList,
    Places,
    base_name,
    check_count,
    locate,
    read_list,
)
from h2q.datasets.items import SPLITS, Dataset, Items
from h2q.datasets.labels import check_labels
from h2q.datasets.sources import ImageFiles
from h2q.datasets.splitting import split_by_count
from h2q.errors import InvalidInputError

Splits = dict[str, HashingList]

_FILES = {"train": "train.txt", "query": "test.txt", "database": "database.txt"}


def read_lists(
    name: str, folder: Path, n_classes: int, expected: Mapping[str, Sequence[int]] | None
) -> Splits:
    """Read train.txt, test.txt (the queries) and database.txt.

    Parameters
    ----------
    name : str
        Of the data set, for the error.
    folder : Path
        Where the lists are.
    n_classes : int
        Label columns.
    expected : mapping of str to sequence of int, optional
        Published numbers of lines for each of train, query and database.

    Raises
    ------
    FormatError, InvalidInputError
        For a malformed line, or another number of lines.
    """
    splits = {split: read_list(folder / file, n_classes) for split, file in _FILES.items()}
    for split, counts in (expected or {}).items():
        check_count(name, _FILES[split], len(splits[split][0]), counts)
    return splits


def published(
    name: str,
    folder: Path,
    n_classes: int,
    expected: Mapping[str, Sequence[int]] | None,
    *,
    n_validation: int,
    random_state: RandomState,
) -> tuple[list[str], Splits, tuple[str, ...]]:
    """Read published lists of labelled images as the splits of a data set.

    Queries are taken out of the database, and validation images are drawn from the rest of it.

    Returns
    -------
    classes : list of str
        The lists name none, so they are numbered.
    splits : Splits
    notes : tuple of str
        What was done.
    """
    splits, notes = without_queries(read_lists(name, folder, n_classes, expected))
    splits = draw_validation(splits, n_validation, random_state)
    return [f"class-{c}" for c in range(n_classes)], splits, notes


def without_queries(splits: Splits) -> tuple[Splits, tuple[str, ...]]:
    """Drop the queries from the database: one published list leaves them in."""
    queries = {base_name(path) for path in splits["query"][0]}
    database = splits["database"]
    keep = np.array([base_name(path) not in queries for path in database[0]], dtype=np.bool_)
    notes = []
    if not keep.all():
        notes.append(f"{np.count_nonzero(~keep):,} queries listed in the database were left out")
    train = {base_name(path) for path in splits["train"][0]}
    inside = sum(base_name(path) in train for path in database[0])
    notes.append(f"{inside:,} of the training images are in the database")
    return {**splits, "database": pick(database, np.flatnonzero(keep))}, tuple(notes)


def draw_validation(splits: Splits, count: int, random_state: RandomState) -> Splits:
    """Move `count` items, drawn at random, from the database (but not from train) to validation."""
    train = {base_name(path) for path in splits["train"][0]}
    free = np.flatnonzero([base_name(path) not in train for path in splits["database"][0]])
    if count == 0:
        return {**splits, "validation": pick(splits["database"], free[:0])}
    if len(free) == 0:
        raise InvalidInputError("the database holds nothing but training images to validate on")
    drawn = split_by_count(len(free), {"validation": count}, random_state=random_state)
    validation = free[drawn["validation"]]
    rest = np.setdiff1d(np.arange(len(splits["database"][0])), validation)
    return {
        **splits,
        "validation": pick(splits["database"], validation),
        "database": pick(splits["database"], rest),
    }


def pick(items: HashingList, indices: NDArray[np.intp]) -> HashingList:
    """Return the lines at `indices`."""
    return [items[0][i] for i in indices], items[1][indices]


def assemble(
    name: str,
    classes: list[str],
    root: Path,
    splits: Mapping[str, tuple[Sequence[str], NDArray[Any]]],
    places: Places,
    *,
    verify: Verify = "exists",
    allow_missing: bool = False,
    notes: tuple[str, ...] = (),
    layout: str,
) -> Dataset:
    """Find the images of each split below `root`.

    Parameters
    ----------
    name, classes, notes
        For the `Dataset`.
    root : Path
        Folder of the images.
    splits : mapping of str to (paths, labels)
        As listed, for each split.
    places : callable
        Where a listed file may lie below `root`.
    verify : {"none", "exists", "header", "full"}
        How closely each image is looked at.
    allow_missing : bool
        Leave out images that are not there, and list them in `Dataset.skipped`, instead of
        raising.
    layout : str
        What should lie where, for the error.

    Raises
    ------
    InvalidInputError
        If images are missing.
    """
    parts: dict[str, Items] = {}
    skipped: dict[str, str] = {}
    for split in SPLITS:
        listed_paths, labels = splits[split]
        check_labels(labels, len(classes), f"{name}, {split}")
        files = locate(root, listed_paths, places)
        bad = unreadable(files, verify)
        skipped.update({files[i]: reason for i, reason in bad.items()})
        keep = np.array([i for i in range(len(files)) if i not in bad], dtype=np.intp)
        ids = [base_name(path) for path in listed_paths]
        parts[split] = Items(labels=labels, ids=ids, images=ImageFiles(files)).take(keep)
    faults = [f"{path}: {reason}" for path, reason in sorted(skipped.items())]
    if faults and not allow_missing:
        raise InvalidInputError(
            f"{name}: {len(faults):,} images are missing below {root}:\n{listed(faults)}\n"
            f"Expected layout: {layout} (allow_missing=True goes on without them)"
        )
    return Dataset(
        name,
        classes,
        parts["train"],
        parts["validation"],
        parts["query"],
        parts["database"],
        skipped=tuple(faults),
        notes=notes,
    )
