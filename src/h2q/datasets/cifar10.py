"""CIFAR-10 (Krizhevsky 2009) with the paper's split of all 60,000 images."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from h2q._typing import RandomState
from h2q._unpickling import load_plain_pickle
from h2q.datasets.items import Dataset, Items
from h2q.datasets.members import read_members
from h2q.datasets.registry import register
from h2q.datasets.sources import ImageArray
from h2q.datasets.splitting import split_by_class_count
from h2q.errors import FormatError, InvalidInputError

#: Items drawn from each class; the rest, 53,000 images, is the database.
PER_CLASS: Mapping[str, int] = {"train": 500, "validation": 100, "query": 100}
CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip

_SIDE = 32
_TILE_ROWS, _TILE_COLUMNS = 25, 40
_WANTED = r"data_batch_[1-5](\.bin)?|test_batch(\.bin)?|sheet_\d+\.webp|labels\.txt|classes\.txt"
_HELP = (
    "give the folder or archive of cifar-10-python.tar.gz or cifar-10-binary.tar.gz "
    "(https://www.cs.toronto.edu/~kriz/cifar.html), or of sheet_00.webp ... with labels.txt"
)

Images = tuple[NDArray[np.uint8], NDArray[np.int64]]


@register("cifar10", "CIFAR-10 as published; 5,000 train, 1,000 validation, 1,000 query images")
def load_cifar10(
    path: Path,
    *,
    random_state: RandomState = 0,
    per_class: Mapping[str, int] = PER_CLASS,
    check_counts: bool = True,
) -> Dataset:
    """Load CIFAR-10 from what its publisher ships; nothing is unpacked to disk.

    Training and test images are pooled, in their canonical order, and split anew as in the paper:
    500 training, 100 validation and 100 query images a class, the other 53,000 the database.

    Parameters
    ----------
    path : Path
        Folder or tar (.gz) of the Python version, of the binary version, or of lossless WebP
        sheets of 25 x 40 tiles with ``labels.txt``.
    random_state : int, Generator, RandomState or None
        Seed of the split.
    per_class : mapping of str to int
        Images of each class in train, validation and query.
    check_counts : bool
        Refuse anything but 6,000 images of each of the ten classes.

    Returns
    -------
    Dataset
        Ids are ``cifar10-00000`` to ``cifar10-59999``: 50,000 and up were the test images.

    Raises
    ------
    FormatError
        For damaged files, or a pickle with anything but plain data.
    InvalidInputError
        If files are missing, or the counts are wrong.
    """
    files = read_members(path, _WANTED)
    if any(name.endswith(".webp") for name in files):
        pixels, labels = _from_sheets(files)
    else:
        pixels, labels = _from_batches(files, path)
    if labels.min() < 0 or labels.max() >= len(CLASSES):
        raise FormatError(f"{path}: label {labels.max()} is not one of CIFAR-10's ten classes")
    counts = np.bincount(labels, minlength=len(CLASSES))
    if check_counts and not (counts == 6_000).all():
        raise InvalidInputError(
            f"{path} holds {len(labels)} images, {counts.min()} to {counts.max()} a class; "
            "CIFAR-10 has 6,000 of each of ten classes (check_counts=False takes a part of it)"
        )
    items = Items(
        labels=labels,
        ids=[f"cifar10-{i:05d}" for i in range(len(labels))],
        images=ImageArray(pixels),
    )
    parts = split_by_class_count(labels, per_class, random_state=random_state)
    return Dataset.from_split("cifar10", list(CLASSES), items, parts)


def _from_batches(files: Mapping[str, bytes], path: Path) -> Images:
    stems = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    suffix = ".bin" if "data_batch_1.bin" in files else ""
    missing = [stem + suffix for stem in stems if stem + suffix not in files]
    if missing:
        raise InvalidInputError(f"{path} lacks {', '.join(missing)}; {_HELP}")
    read = _binary_batch if suffix else _python_batch
    batches = [read(files[stem + suffix], stem + suffix) for stem in stems]
    planes = np.concatenate([pixels for pixels, _ in batches])
    # A row is the red, the green, then the blue plane.
    pixels = planes.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pixels), np.concatenate([labels for _, labels in batches])


def _python_batch(data: bytes, name: str) -> Images:
    batch = load_plain_pickle(data, name)
    if not isinstance(batch, dict) or not {b"data", b"labels"} <= set(batch):
        raise FormatError(f"{name} is not a batch of CIFAR-10: no data and labels")
    pixels, labels = batch[b"data"], np.asarray(batch[b"labels"])
    if (
        not isinstance(pixels, np.ndarray)
        or pixels.dtype != np.uint8
        or pixels.shape != (len(labels), 3 * _SIDE * _SIDE)
        or labels.dtype.kind not in "iu"
    ):
        raise FormatError(f"{name} is not a batch of CIFAR-10: expected uint8 rows of 3,072")
    return pixels, labels.astype(np.int64)


def _binary_batch(data: bytes, name: str) -> Images:
    width = 1 + 3 * _SIDE * _SIDE
    if len(data) == 0 or len(data) % width:
        raise FormatError(f"{name} has {len(data)} bytes, not a multiple of {width}: truncated?")
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, width)
    return rows[:, 1:], rows[:, 0].astype(np.int64)


def _from_sheets(files: Mapping[str, bytes]) -> Images:
    if "labels.txt" not in files:
        raise InvalidInputError(f"there are sheets but no labels.txt; {_HELP}")
    words = files["labels.txt"].decode("ascii", errors="replace").split()
    if not all(word.isdigit() for word in words):
        raise FormatError("labels.txt must hold one class number a line")
    labels = np.array(words, dtype=np.int64)
    tiles = np.concatenate([_tiles(files[n], n) for n in sorted(files) if n.endswith(".webp")])
    if len(tiles) < len(labels) or len(tiles) - len(labels) >= _TILE_ROWS * _TILE_COLUMNS:
        raise FormatError(f"the sheets hold {len(tiles)} tiles for {len(labels)} labels")
    return tiles[: len(labels)], labels


def _tiles(data: bytes, name: str) -> NDArray[np.uint8]:
    size = (_TILE_COLUMNS * _SIDE, _TILE_ROWS * _SIDE)
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            if image.size != size:
                raise FormatError(f"{name} is {image.size} pixels, expected {size}")
            sheet = np.asarray(image.convert("RGB"))
    except OSError as error:
        raise FormatError(f"{name} cannot be decoded: {error}") from error
    grid = sheet.reshape(_TILE_ROWS, _SIDE, _TILE_COLUMNS, _SIDE, 3).swapaxes(1, 2)
    return np.ascontiguousarray(grid).reshape(-1, _SIDE, _SIDE, 3)
