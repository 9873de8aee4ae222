"""Precomputed features, embeddings or pixels in one `.npz` file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._foreign import naming, reading
from h2q._npz import read_npz
from h2q._typing import RandomState
from h2q.datasets.items import Dataset, Items
from h2q.datasets.labels import check_class_numbers, encode_names, unpack_multi_hot
from h2q.datasets.registry import register
from h2q.datasets.sources import ImageArray
from h2q.datasets.splitting import FRACTIONS, complete_split, stratified_split
from h2q.errors import InvalidInputError
from h2q.rowfiles import Embeddings
from h2q.rowfiles.labels import UNLABELLED, read_labels

_NAME_KEYS = ("classes", "words", "class_names")


@register("npz", "precomputed features or embeddings: keys features, labels, split")
def load_npz(
    path: Path,
    *,
    random_state: RandomState = 0,
    features: str = "features",
    validation: float = 0.1,
    fractions: Mapping[str, float] = FRACTIONS,
) -> Dataset:
    """Load an `.npz` file.

    Keys of the file:

    - `features`, shape (n, d), any real dtype; or `images`, uint8 (n, h, w) or (n, h, w, 3);
    - `labels`: integer or text classes (n,), multi-hot 0/1 (n, c), or multi-hot packed with
      `numpy.packbits(axis=1)`, which needs the number of classes;
    - `classes`, `words` or `class_names` (names), or `n_classes`: optional otherwise;
    - `split`: train, validation, query or database for each row (optional: drawn with the seed);
    - `ids`: a name for each row (optional).

    Parameters
    ----------
    path : Path
        The file.
    random_state : int, Generator, RandomState or None
        Seed of a split, or of a validation set, that is drawn here.
    features : str
        Key of the array of features, for files that hold several.
    validation : float
        Share of train held out where `split` names no validation rows; 0 for none.
    fractions : mapping of str to float
        Share of each split where the file has no `split`.

    Raises
    ------
    FormatError
        If the file is not an `.npz`, is truncated, or holds pickled objects.
    InvalidInputError
        If a key is missing, features are not finite, or labels do not fit.
    """
    arrays = read_npz(path)
    if "labels" not in arrays:
        raise _missing(path, "labels", arrays)
    if features not in arrays and "images" not in arrays:
        raise _missing(path, features, arrays)
    for key, array in arrays.items():
        if array.ndim == 0 and key in ("labels", "ids", "split", features, "images", *_NAME_KEYS):
            raise InvalidInputError(f"{path}: {key} is a single value; give one for each row")
    with reading(path, "an .npz file of a data set"), naming(path):
        labels, classes = _labels(arrays, path)
    n = len(labels)
    with reading(path, "an .npz file of a data set"):  # text that is no Unicode
        ids = [str(i) for i in arrays.get("ids", np.arange(n))]
    if len(set(ids)) < len(ids):
        raise InvalidInputError(f"{path}: the ids are not unique")
    items = Items(
        labels=labels,
        ids=ids,
        features=check_features(arrays[features], f"{path}: {features}")
        if features in arrays
        else None,
        images=ImageArray(arrays["images"]) if "images" in arrays else None,
    )
    split = arrays.get("split")
    if split is not None and len(split) != n:
        raise InvalidInputError(f"{path}: {len(split)} split names for {n} labels")
    return _split(f"npz:{path}", items, classes, split, validation, fractions, random_state)


def dataset_of_embeddings(
    embeddings: Embeddings, name: str, *, validation: float = 0.0, random_state: RandomState = 0
) -> Dataset:
    """Return labelled embeddings of any file (`h2q.rowfiles.load_embeddings`) as a data set.

    Parameters
    ----------
    embeddings : Embeddings
    name : str
        What errors and tables call it.
    validation, random_state
        As in `load_npz`.

    Raises
    ------
    InvalidInputError
        If they have no labels, or a row has none.
    """
    labels = embeddings.labels
    if labels is None:
        raise InvalidInputError(
            f"{name}: the rows have no labels, so there is nothing to judge them by; give them "
            "some (.npz: the key labels; a table: the column label)"
        )
    _check_labelled(labels, name)
    n_classes = labels.shape[1] if labels.ndim == 2 else int(labels.max(initial=-1)) + 1
    classes = embeddings.classes or [str(number) for number in range(n_classes)]
    items = Items(
        labels=labels,
        ids=[str(each) for each in embeddings.ids],
        features=check_features(np.asarray(embeddings.rows), name),
    )
    return _split(name, items, classes, embeddings.split, validation, FRACTIONS, random_state)


def _split(
    name: str,
    items: Items,
    classes: list[str],
    split: NDArray[Any] | None,
    validation: float,
    fractions: Mapping[str, float],
    random_state: RandomState,
) -> Dataset:
    labels = items.labels
    if split is None:
        parts = stratified_split(labels, fractions=fractions, random_state=random_state)
    else:
        parts = complete_split(split, labels, validation=validation, random_state=random_state)
    return Dataset.from_split(name, classes, items, parts)


def _check_labelled(labels: NDArray[Any], name: str) -> None:
    """Refuse rows without a label: nothing can be judged, or learned, by them."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not len(labels):
        return
    without = int((labels == UNLABELLED).sum())
    if without == len(labels):
        raise InvalidInputError(f"{name}: no row has a label; all are -1, NaN or gaps")
    if without:
        raise InvalidInputError(
            f"{name}: {without} of {len(labels)} rows have no label (-1, NaN or a gap), and cannot "
            "be judged without; leave them out"
        )


def check_features(features: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Return the rows as float32, or raise `InvalidInputError` for a wrong shape, NaN or Inf."""
    if features.ndim != 2 or features.dtype.kind not in "fiub" or 0 in features.shape:
        raise InvalidInputError(
            f"{name}: expected real rows (n, d), got {features.dtype} of shape {features.shape}"
        )
    rows = features.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        raise InvalidInputError(
            f"{name}: {len(bad)} rows are not finite (the first is row {bad[0]}); "
            "remove them or repair the features"
        )
    return rows


def _labels(arrays: Mapping[str, NDArray[Any]], path: Path) -> tuple[NDArray[Any], list[str]]:
    labels = arrays["labels"]
    names = next((arrays[key] for key in _NAME_KEYS if key in arrays), None)
    if labels.ndim == 1 and labels.dtype.kind == "U":
        return encode_names(labels.tolist())
    if labels.ndim == 1 and labels.dtype.kind == "f":  # class numbers, NaN where there is none
        labels, _ = read_labels(labels, str(path)).arrays()
    _check_labelled(labels, str(path))
    n_classes = None if names is None else len(names)
    if n_classes is None and "n_classes" in arrays:
        check_class_numbers(arrays["n_classes"], f"{path}: n_classes", len(labels))
        n_classes = int(arrays["n_classes"].item())
    if labels.ndim == 2:
        if n_classes is None:
            n_classes = labels.shape[1]
            if labels.size and labels.max() > 1:
                raise InvalidInputError(
                    f"{path}: labels look packed; add the key n_classes or classes to the file"
                )
        if labels.shape[1] != n_classes:
            labels = unpack_multi_hot(labels, n_classes)
        labels = labels.astype(np.uint8) if labels.dtype.kind in "bu" else labels
    elif labels.ndim == 1 and labels.dtype.kind in "iu":
        labels = labels.astype(np.int64)
        if n_classes is None:
            check_class_numbers(labels, str(path))
            n_classes = int(labels.max(initial=-1)) + 1
    else:
        raise InvalidInputError(
            f"{path}: labels are {labels.dtype} of shape {labels.shape}; expected classes (n,) "
            "or multi-hot (n, c)"
        )
    classes = [str(c) for c in (range(n_classes) if names is None else names)]
    return labels, classes


def _missing(path: Path, key: str, arrays: Mapping[str, NDArray[Any]]) -> InvalidInputError:
    return InvalidInputError(f"{path} has no {key!r}; it has {', '.join(arrays) or 'nothing'}")
