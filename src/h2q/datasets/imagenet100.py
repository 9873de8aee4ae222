"""ImageNet-100: the 100 classes of HashNet's published lists (Cao et al., ICCV 2017)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from h2q._typing import RandomState
from h2q.datasets.files import Verify
from h2q.datasets.hashing_lists import base_name, find_lists
from h2q.datasets.items import Dataset
from h2q.datasets.listed import assemble, pick, read_lists, without_queries
from h2q.datasets.registry import register
from h2q.errors import InvalidInputError

N_CLASSES = 100
COUNTS = {"train": (13_000,), "query": (5_000,), "database": (128_503,)}
LAYOUT = (
    "PATH/train.txt, test.txt, database.txt (github.com/thuml/HashNet, lists of imagenet) and the "
    "images of ILSVRC 2012 as PATH/train/nXXXXXXXX/*.JPEG, PATH/val/*.JPEG, as "
    "PATH/ILSVRC/Data/CLS-LOC/..., or as HashNet packs them, PATH/image and PATH/val_image"
)


@register("imagenet100", "ImageNet, 100 classes, by HashNet's lists; 13,000 train, 2,500 query")
def load_imagenet100(
    path: Path,
    *,
    random_state: RandomState = 0,
    lists: Path | str | None = None,
    verify: Verify = "exists",
    allow_missing: bool = False,
    check_counts: bool = True,
) -> Dataset:
    """Load ImageNet-100.

    train.txt is trained on and database.txt searched (it includes the training images). The lines
    of test.txt are taken in turn for query and validation, 2,500 each: the paper's protocol.

    Parameters
    ----------
    path : Path
        Folder of the images.
    random_state : int, Generator, RandomState or None
        Not used: the lists leave nothing to draw.
    lists : path, optional
        Folder of the three lists; `path` by default.
    verify : {"none", "exists", "header", "full"}
        How closely each image is looked at.
    allow_missing : bool
        Leave out missing images instead of raising.
    check_counts : bool
        Refuse lists of other lengths than the published ones.

    Raises
    ------
    InvalidInputError, FormatError
        If lists or images are missing, or a list is malformed.
    """
    folder = find_lists(path if lists is None else Path(lists))
    if folder is None:
        raise InvalidInputError(f"no lists in {path if lists is None else lists}; put {LAYOUT}")
    splits = read_lists("imagenet100", folder, N_CLASSES, COUNTS if check_counts else None)
    splits, notes = without_queries(splits)
    test = splits["query"]
    position = np.arange(len(test[0]))
    splits["query"] = pick(test, np.flatnonzero(position % 2 == 0))
    splits["validation"] = pick(test, np.flatnonzero(position % 2 == 1))
    for split, (_, hot) in splits.items():
        if not (hot.sum(axis=1) == 1).all():
            raise InvalidInputError(f"imagenet100: {split} has a line without exactly one class")
    single = {split: (paths, hot.argmax(axis=1)) for split, (paths, hot) in splits.items()}
    return assemble(
        "imagenet100",
        _synsets(*single["train"]),
        path,
        single,
        _places,
        verify=verify,
        allow_missing=allow_missing,
        notes=notes,
        layout=LAYOUT,
    )


def _synsets(paths: list[str], labels: NDArray[np.intp]) -> list[str]:
    """Name each class by the WordNet id that its training images begin with."""
    names = [f"class-{c}" for c in range(N_CLASSES)]
    for path, label in zip(paths, labels, strict=True):
        names[int(label)] = _synset(base_name(path))
    return names


def _synset(name: str) -> str:
    return name.partition("_")[0]


def _places(folder: str, name: str) -> list[str]:
    if base_name(folder) == "val_image":
        packed, official = f"val_image/{name}", f"val/{name}"
    else:
        packed, official = f"image/{name}", f"train/{_synset(name)}/{name}"
    return [packed, official, f"ILSVRC/Data/CLS-LOC/{official}"]
