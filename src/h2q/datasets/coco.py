"""MS COCO as a multi-label retrieval data set of 80 classes (Lin et al., ECCV 2014)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from h2q._foreign import reading
from h2q._typing import RandomState
from h2q.datasets.files import Verify
from h2q.datasets.hashing_lists import base_name, check_count, find_lists
from h2q.datasets.items import Dataset
from h2q.datasets.listed import assemble, pick, published
from h2q.datasets.registry import register
from h2q.datasets.splitting import split_by_count
from h2q.errors import FormatError, InvalidInputError

N_CLASSES = 80
#: Images of train and val 2014 (the same as of 2017) with at least one annotated object.
N_LABELLED = 122_218
#: The paper's split, drawn at random; the rest is the database.
SIZES = {"train": 10_000, "validation": 5_000, "query": 5_000}
LIST_COUNTS = {"train": (10_000,), "query": (5_000,), "database": (112_218, 117_218)}
LAYOUT = (
    "PATH/train2014/*.jpg and PATH/val2014/*.jpg with PATH/annotations/instances_train2014.json "
    "and instances_val2014.json (cocodataset.org; 2017 alike), or, for HashNet's split, "
    "PATH/train.txt, test.txt and database.txt beside the images"
)


@register("coco", "MS COCO, 80 classes, multi-label; 10,000 train, 5,000 validation and query")
def load_coco(
    path: Path,
    *,
    random_state: RandomState = 0,
    lists: Path | str | None = None,
    sizes: dict[str, int] | None = None,
    verify: Verify = "exists",
    allow_missing: bool = False,
    check_counts: bool = True,
) -> Dataset:
    """Load MS COCO.

    With the publisher's annotations, all labelled images are pooled and split at random, as in
    the paper: 10,000 train, 5,000 validation, 5,000 query, the rest the database. With published
    lists (train.txt, test.txt, database.txt), these are kept, queries are taken out of the
    database, and validation images are drawn from the rest of it.

    Parameters
    ----------
    path : Path
        Folder of the images.
    random_state : int, Generator, RandomState or None
        Seed of what is drawn.
    lists : path, optional
        Folder of the three lists; `path` by default, where they are there.
    sizes : dict of str to int, optional
        Sizes of train, validation and query that are drawn.
    verify : {"none", "exists", "header", "full"}
        How closely each image is looked at.
    allow_missing : bool
        Leave out missing images instead of raising.
    check_counts : bool
        Refuse other numbers of images than the published ones.

    Raises
    ------
    InvalidInputError, FormatError
        If annotations, lists or images are missing or malformed.
    """
    sizes = {**SIZES, **(sizes or {})}
    folder = find_lists(path if lists is None else Path(lists))
    if folder is not None:
        classes, splits, notes = published(
            "coco", folder, N_CLASSES, LIST_COUNTS if check_counts else None,
            n_validation=sizes["validation"], random_state=random_state,
        )  # fmt: skip
    elif lists is not None:
        raise InvalidInputError(f"no train.txt, test.txt and database.txt in {lists}; put {LAYOUT}")
    else:
        paths, labels, classes, unlabelled = _annotations(path)
        if check_counts:
            check_count("coco", "the annotations", len(paths), (N_LABELLED,))
        parts = split_by_count(len(paths), sizes, random_state=random_state)
        splits = {split: pick((paths, labels), indices) for split, indices in parts.items()}
        notes = (f"{unlabelled:,} images without an annotated object were left out",)
    return assemble(
        "coco",
        classes,
        path,
        splits,
        lambda folder, name: [f"{base_name(folder)}/{name}"],
        verify=verify,
        allow_missing=allow_missing,
        notes=notes,
        layout=LAYOUT,
    )


def _annotations(
    path: Path,
) -> tuple[list[str], NDArray[np.uint8], list[str], int]:
    year = next(
        (y for y in (2014, 2017) if (path / f"annotations/instances_train{y}.json").is_file()), None
    )
    if year is None:
        raise InvalidInputError(f"{path} has neither annotations nor lists; put {LAYOUT}")
    names: dict[int, str] = {}
    where: dict[int, str] = {}
    present: dict[int, set[int]] = {}
    for part in (f"train{year}", f"val{year}"):
        file = path / "annotations" / f"instances_{part}.json"
        if not file.is_file():
            raise InvalidInputError(f"there is no {file}; put {LAYOUT}")
        with reading(file, "a COCO annotation file"):
            data = json.loads(file.read_bytes())
            names.update({int(c["id"]): str(c["name"]) for c in data["categories"]})
            for image in data["images"]:
                where[int(image["id"])] = f"{part}/{image['file_name']}"
            for annotation in data["annotations"]:
                present.setdefault(int(annotation["image_id"]), set()).add(
                    int(annotation["category_id"])
                )
    if len(names) > len(where) + N_CLASSES:
        raise FormatError(f"{path}: {len(names):,} categories of {len(where):,} images")
    column = {category: j for j, category in enumerate(sorted(names))}
    images = sorted(image for image in where if present.get(image))
    labels = np.zeros((len(images), len(names)), dtype=np.uint8)
    try:
        for i, image in enumerate(images):
            labels[i, [column[category] for category in present[image]]] = 1
    except KeyError as error:
        raise FormatError(f"{path}: an annotation has the unknown category {error}") from error
    return (
        [where[i] for i in images],
        labels,
        [names[c] for c in sorted(names)],
        len(where) - len(images),
    )
