"""Labels: integer classes (n,), or multi-hot 0/1 of shape (n, n_classes)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q.errors import InvalidInputError

#: Class numbers up to this, and table cells up to that, are taken whatever the number of rows.
_ALWAYS_CLASSES = 100_000
_ALWAYS_CELLS = 64 << 20
_CELLS_AN_ENTRY = 20_000


def check_labels(labels: NDArray[Any], n_classes: int, name: str) -> None:
    """Raise `InvalidInputError` unless `labels` are classes below `n_classes`, or multi-hot."""
    if labels.ndim not in (1, 2) or labels.dtype.kind not in "biu":
        raise InvalidInputError(
            f"{name}: expected integer classes (n,) or multi-hot (n, c), "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if labels.ndim == 2 and labels.shape[1] != n_classes:
        raise InvalidInputError(f"{name}: {labels.shape[1]} columns for {n_classes} classes")
    if labels.size == 0:
        return
    low, high = int(labels.min()), int(labels.max())
    limit = n_classes if labels.ndim == 1 else 2
    if low < 0 or high >= limit:
        bad = low if low < 0 else high
        raise InvalidInputError(f"{name}: {bad} is out of range; expected 0 to {limit - 1}")


def check_class_numbers(labels: NDArray[Any], name: str, n: int | None = None) -> None:
    """Raise `InvalidInputError` for class numbers far above what `n` rows can need.

    Everything that is made for each class (names, counts, columns) would otherwise be as large as
    the largest number in a file, however small the file.
    """
    n = len(labels) if n is None else n
    if labels.dtype.kind not in "biu":
        raise InvalidInputError(f"{name}: {labels.dtype}, where whole numbers are needed")
    limit = max(_ALWAYS_CLASSES, 10 * n)
    if labels.size and int(labels.max()) >= limit:
        raise InvalidInputError(
            f"{name}: the class {int(labels.max()):,} of {n:,} rows; number the classes from 0 "
            "(numpy.unique(labels, return_inverse=True)[1])"
        )


def to_multi_hot(labels: NDArray[Any], n_classes: int) -> NDArray[np.uint8]:
    """Write labels as 0/1.

    Parameters
    ----------
    labels : ndarray, shape (n,) or (n, n_classes)
        Integer classes, or multi-hot (returned as uint8).
    n_classes : int
        Number of columns.

    Returns
    -------
    ndarray of uint8, shape (n, n_classes)
    """
    labels = np.asarray(labels)
    check_labels(labels, n_classes, "labels")
    if labels.ndim == 2:
        return labels.astype(np.uint8)
    hot = np.zeros((len(labels), n_classes), dtype=np.uint8)
    hot[np.arange(len(labels)), labels] = 1
    return hot


def encode_names(names: Sequence[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Turn class names into integers; classes are sorted by name."""
    classes, labels = np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)
    return labels.astype(np.int64), [str(c) for c in classes]


def encode_name_sets(sets: Sequence[Sequence[str]]) -> tuple[NDArray[np.uint8], list[str]]:
    """Turn sets of class names into multi-hot; classes are sorted by name.

    Raises
    ------
    InvalidInputError
        If the table would be far larger than the sets.
    """
    classes = sorted({name for names in sets for name in names})
    entries = sum(map(len, sets)) + len(sets)
    if len(sets) * len(classes) > max(_ALWAYS_CELLS, _CELLS_AN_ENTRY * entries):
        raise InvalidInputError(
            f"{len(sets):,} items with {len(classes):,} different labels; labels that hardly "
            "repeat are no classes"
        )
    column = {name: j for j, name in enumerate(classes)}
    hot = np.zeros((len(sets), len(classes)), dtype=np.uint8)
    for i, names in enumerate(sets):
        hot[i, [column[name] for name in names]] = 1
    return hot, classes


def unpack_multi_hot(packed: NDArray[np.uint8], n_classes: int) -> NDArray[np.uint8]:
    """Multi-hot labels from bits packed along axis 1 (`numpy.packbits`, MSB first).

    Raises
    ------
    InvalidInputError
        If the width does not fit `n_classes`, or a padding bit is set.
    """
    width = -(-n_classes // 8)
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != width:
        raise InvalidInputError(
            f"packed labels of {n_classes} classes must be uint8 of shape (n, {width}), "
            f"got {packed.dtype} of shape {packed.shape}"
        )
    bits = np.unpackbits(packed, axis=1)
    if bits[:, n_classes:].any():
        raise InvalidInputError(f"packed labels have bits set beyond the {n_classes} classes")
    return np.ascontiguousarray(bits[:, :n_classes])
