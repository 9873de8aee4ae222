"""NUS-WIDE, the images of its 21 most frequent concepts (Chua et al., CIVR 2009)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from h2q._typing import RandomState
from h2q.datasets.files import Verify
from h2q.datasets.hashing_lists import base_name, check_count, find_lists
from h2q.datasets.items import Dataset
from h2q.datasets.listed import assemble, pick, published
from h2q.datasets.registry import register
from h2q.datasets.splitting import split_by_count
from h2q.errors import FormatError, InvalidInputError

N_CLASSES = 21
#: Images of the publisher's list.
N_LISTED = 269_648
#: The paper's split, drawn at random; the rest is the database.
SIZES = {"train": 10_500, "validation": 2_100, "query": 2_100}
LIST_COUNTS = {"train": (10_500,), "query": (2_100,), "database": (193_734,)}
LAYOUT = (
    "PATH/ImageList/Imagelist.txt and PATH/Groundtruth/AllLabels/Labels_*.txt (ImageList.zip and "
    "Groundtruth.zip of NUS-WIDE) with the images as PATH/images/*.jpg or PATH/Flickr/*/*.jpg; "
    "or train.txt, test.txt, database.txt of 21 labels beside PATH/images"
)


@register("nuswide21", "NUS-WIDE, 21 concepts, multi-label; 10,500 train, 2,100 query")
def load_nuswide21(
    path: Path,
    *,
    random_state: RandomState = 0,
    lists: Path | str | None = None,
    sizes: dict[str, int] | None = None,
    verify: Verify = "exists",
    allow_missing: bool | None = None,
    check_counts: bool = True,
) -> Dataset:
    """Load NUS-WIDE-21.

    With the publisher's files, the images at hand that have one of the 21 most frequent concepts
    are split at random, as in the paper: 10,500 train, 2,100 validation, 2,100 query, the rest
    the database. With published lists (train.txt, test.txt, database.txt), these are kept and
    validation images are drawn from the database.

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
    allow_missing : bool, optional
        Leave out missing images instead of raising. By default only without lists: many images
        of NUS-WIDE are no longer to be had, so the split is drawn from those at hand.
    check_counts : bool
        Refuse other numbers of lines than the published ones.

    Raises
    ------
    InvalidInputError, FormatError
        If labels, lists or images are missing or malformed.
    """
    sizes = {**SIZES, **(sizes or {})}
    folder = find_lists(path if lists is None else Path(lists))
    if folder is not None:
        classes, splits, notes = published(
            "nuswide21", folder, N_CLASSES, LIST_COUNTS if check_counts else None,
            n_validation=sizes["validation"], random_state=random_state,
        )  # fmt: skip
    elif lists is not None:
        raise InvalidInputError(f"no train.txt, test.txt and database.txt in {lists}; put {LAYOUT}")
    else:
        paths, labels, classes = _published(path, check_counts)
        kept = labels.any(axis=1)
        if allow_missing is not False and verify != "none":
            at_hand = _at_hand(path)
            kept &= np.array([base_name(p) in at_hand for p in paths], dtype=np.bool_)
        chosen = pick((paths, labels), np.flatnonzero(kept))
        notes = (
            f"{len(chosen[0]):,} of {np.count_nonzero(labels.any(axis=1)):,} images with one of "
            "the 21 concepts are at hand",
        )
        if not chosen[0]:
            raise InvalidInputError(f"nuswide21: no images below {path}; put {LAYOUT}")
        parts = split_by_count(len(chosen[0]), sizes, random_state=random_state)
        splits = {split: pick(chosen, indices) for split, indices in parts.items()}
    return assemble(
        "nuswide21",
        classes,
        path,
        splits,
        _places,
        verify=verify,
        allow_missing=bool(allow_missing),
        notes=notes,
        layout=LAYOUT,
    )


def _published(path: Path, check_counts: bool) -> tuple[list[str], NDArray[np.uint8], list[str]]:
    """Read the publisher's list of images and the labels of its 21 most frequent concepts."""
    image_list = _first(path, "ImageList/Imagelist.txt", "Imagelist.txt", "ImageList.txt")
    all_labels = _first(path, "Groundtruth/AllLabels", "AllLabels")
    if image_list is None or all_labels is None:
        raise InvalidInputError(f"{path} has neither labels nor lists of NUS-WIDE; put {LAYOUT}")
    # Written on Windows: actor\0001_2124494179.jpg
    lines = image_list.read_text(encoding="utf-8", errors="replace").split("\n")
    paths = [line.strip().replace("\\", "/") for line in lines if line.strip()]
    if check_counts:
        check_count("nuswide21", image_list.name, len(paths), (N_LISTED,))
    files = sorted(all_labels.glob("Labels_*.txt"))
    if len(files) < N_CLASSES:
        raise InvalidInputError(f"{all_labels} holds {len(files)} files of labels; put {LAYOUT}")
    columns = np.stack([_column(file, len(paths)) for file in files], axis=1)
    frequent = np.sort(np.argsort(-columns.sum(axis=0, dtype=np.int64), kind="stable")[:N_CLASSES])
    names = [files[j].stem.removeprefix("Labels_") for j in frequent]
    return paths, np.ascontiguousarray(columns[:, frequent]), names


def _column(file: Path, n: int) -> NDArray[np.uint8]:
    text = file.read_text(encoding="ascii", errors="replace").split()
    if len(text) != n or not set(text) <= {"0", "1"}:
        raise FormatError(f"{file} must hold 0 or 1 for each of {n:,} images, found {len(text):,}")
    return np.array(text, dtype=np.uint8)


def _first(path: Path, *names: str) -> Path | None:
    return next((path / name for name in names if (path / name).exists()), None)


def _at_hand(path: Path) -> set[str]:
    roots = [path / name for name in ("images", "Flickr") if (path / name).is_dir()]
    return {file.name for root in roots for file in root.rglob("*.jpg")}


def _places(folder: str, name: str) -> list[str]:
    inner = f"{base_name(folder)}/{name}"
    return [f"images/{name}", f"images/{inner}", f"Flickr/{inner}", inner]
