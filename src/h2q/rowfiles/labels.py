"""Labels as files and arrays of other programs have them, read in one place.

A label is a name, a class number, or several of either; -1, a gap and NaN mean "unlabelled". Where
a file names its classes, numbers become names; a number beyond the names is refused, not wrapped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from h2q.errors import InvalidInputError

#: Of one row: nothing, a name, a class number, or several.
Label: TypeAlias = str | int | list[str] | list[int] | None
UNLABELLED: Final = -1
#: Columns of multi-hot labels that are taken whatever the number of rows.
_ALWAYS_CLASSES: Final = 100_000


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of rows.

    Attributes
    ----------
    values : list of None, str, int, list of str or list of int
        One a row; numbers stay numbers, also where the classes have names.
    classes : list of str or None
        Names of the classes, in the order of their numbers, where these are known.
    n_classes : int or None
        Number of classes where numbers alone are known.
    """

    values: list[Label]
    classes: list[str] | None = None
    n_classes: int | None = None

    def __len__(self) -> int:
        return len(self.values)

    def payload(self, row: int) -> dict[str, Any]:
        """Return what a collection stores of a row's label: `label`, or `labels` if several."""
        value = self.values[row]
        if value is None:
            return {}
        if isinstance(value, list):
            return {"labels": [self._name(each) for each in value]}
        return {"label": self._name(value)}

    def _name(self, label: str | int) -> str | int:
        return self.classes[label] if self.classes and isinstance(label, int) else label

    def part(self, rows: Iterable[int]) -> Labels:
        """Return the labels of some rows."""
        return Labels([self.values[row] for row in rows], self.classes, self.n_classes)

    def arrays(self) -> tuple[NDArray[Any], list[str] | None]:
        """Return labels by number, and the names of the classes where they have any.

        Returns
        -------
        ndarray, shape (n,), int64, or (n, c), uint8
            Class numbers, -1 for unlabelled; or multi-hot where any row is a list.
        list of str or None
        """
        classes = self.classes
        parts: list[list[Any]] = [
            v if isinstance(v, list) else [] if v is None else [v] for v in self.values
        ]
        if classes is None and any(isinstance(each, str) for part in parts for each in part):
            classes = sorted({str(each) for part in parts for each in part})
        if classes is not None:
            number = {name: place for place, name in reversed(list(enumerate(classes)))}
            parts = [[number.get(each, each) for each in part] for part in parts]
        if not any(isinstance(value, list) for value in self.values):
            flat = [part[0] if part else UNLABELLED for part in parts]
            return np.array(flat, dtype=np.int64), classes
        width = self.n_classes if classes is None else len(classes)
        if width is None:
            width = 1 + max((int(each) for part in parts for each in part), default=-1)
        if width > max(_ALWAYS_CLASSES, 10 * len(parts)):
            raise InvalidInputError(
                f"{len(parts):,} rows with labels up to {width - 1:,}; number the classes from 0"
            )
        hot = np.zeros((len(parts), width), dtype=np.uint8)
        for row, part in enumerate(parts):
            hot[row, part] = 1
        return hot, classes


def labels_of_payloads(payloads: Sequence[Mapping[str, Any] | None]) -> Labels | None:
    """Return the labels that payloads hold under `label` or `labels`; None where none does."""
    found: list[Any] = [
        (payload or {}).get("labels", (payload or {}).get("label")) for payload in payloads
    ]
    if all(value is None for value in found):
        return None
    return read_labels(found, "payloads")


def read_labels(
    values: Any,
    name: str,
    *,
    names: Any = None,
    n_classes: int | None = None,
    start: int = 0,
) -> Labels:
    """Return the labels of an array, or of a column.

    Parameters
    ----------
    values : array or sequence
        A row each: names or their UTF-8 bytes; class numbers, also as floats or in a column
        (n, 1); multi-hot 0/1 of shape (n, c), or packed with `numpy.packbits(axis=1)` where the
        number of classes is known; lists of names or of class numbers, of any length.
    name : str
        The file, for errors.
    names : sequence of str, optional
        Names of the classes.
    n_classes : int, optional
        Number of classes, where they have no names.
    start : int
        Row of the first value, for errors.

    Raises
    ------
    InvalidInputError
        If a label is none of these, or beyond the names.
    """
    classes = None if names is None else _class_names(names, name)
    known = n_classes if classes is None else len(classes)
    if isinstance(values, np.ndarray) and values.dtype.kind != "O" and values.ndim == 2:
        rows, known = _of_matrix(values, known, name, start)
    else:
        if isinstance(values, np.ndarray) and values.ndim != 1:
            raise InvalidInputError(f"{name}: labels of shape {np.shape(values)}; give one a row")
        listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
        rows = [_one(each, f"{name}: row {start + row}") for row, each in enumerate(listed)]
        rows = _without_multi_hot(rows)
    if classes is not None or known is not None:
        held = None if classes is None else frozenset(classes)
        for row, label in enumerate(rows):
            _check_known(label, held, known, f"{name}: row {start + row}")
    return Labels(rows, classes, known)


def _class_names(names: Any, name: str) -> list[str]:
    listed = names.tolist() if hasattr(names, "tolist") else list(names)
    if not isinstance(listed, list):
        raise InvalidInputError(f"{name}: the names of the classes are no list")
    return [str(_scalar(each, f"{name}: class {i}")) for i, each in enumerate(listed)]


def _of_matrix(
    values: NDArray[Any], known: int | None, name: str, start: int
) -> tuple[list[Label], int | None]:
    n, width = values.shape
    kind = values.dtype.kind
    if kind in "US":
        texts = values.tolist()
        if width == 1:
            return [_one(row[0], f"{name}: row {start + i}") for i, row in enumerate(texts)], known
        return [
            [str(_scalar(each, f"{name}: row {start + i}")) for each in row if each]
            for i, row in enumerate(texts)
        ], known
    if kind not in "biuf":
        raise InvalidInputError(f"{name}: labels of {values.dtype}; {_EXPECTED}")
    if width == 1 and _is_column(values, known, name):
        return _numbers(values[:, 0], name, start), known
    hot = values
    if known is not None and width != known:
        if values.dtype != np.uint8 or width != -(-known // 8):
            raise InvalidInputError(
                f"{name}: labels of {values.dtype} with {width} columns for {known} classes"
            )
        bits = np.unpackbits(values, axis=1)
        if bits[:, known:].any():
            raise InvalidInputError(f"{name}: packed labels have bits beyond the {known} classes")
        hot = bits[:, :known]
    if not np.isin(hot, (0, 1)).all():
        packed = "; packed ones need the names of the classes" if values.dtype == np.uint8 else ""
        raise InvalidInputError(
            f"{name}: labels of shape {values.shape} are multi-hot, 0 or 1, but hold "
            f"{_strange(hot)!r}{packed}"
        )
    places, columns = np.nonzero(hot)
    ends = np.cumsum(np.bincount(places, minlength=n))[:-1]
    return [part.tolist() for part in np.split(columns, ends)][:n], hot.shape[1]


def _is_column(values: NDArray[Any], known: int | None, name: str) -> bool:
    """Whether labels (n, 1) are class numbers, and not multi-hot of one class or packed."""
    if known is None or values.dtype != np.uint8:
        return known != 1
    numbers, filler = bool((values < known).all()), (1 << max(8 - known, 0)) - 1
    packed = known <= 8 and not bool((values & filler).any())
    if numbers and packed and known > 1:
        raise InvalidInputError(
            f"{name}: labels (n, 1) of bytes may be class numbers or {known} packed bits; save "
            "class numbers as int64 of shape (n,), or multi-hot of a column a class"
        )
    return numbers and not packed


def _strange(values: NDArray[Any]) -> Any:
    return values[~np.isin(values, (0, 1))].flat[0].item()


def _numbers(values: NDArray[Any], name: str, start: int) -> list[Label]:
    return [_one(each, f"{name}: row {start + i}") for i, each in enumerate(values.tolist())]


_EXPECTED: Final = (
    "labels are names, class numbers, multi-hot 0/1 of shape (n, c), or lists of names or numbers"
)


def _one(value: Any, where: str) -> Label:
    if isinstance(value, list | tuple | np.ndarray):
        several = [_scalar(each, where) for each in value]
        if any(each is None or each == UNLABELLED for each in several):
            raise InvalidInputError(f"{where}: a list of labels with a gap in it ({value!r:.80})")
        if len({type(each) for each in several}) > 1:
            raise InvalidInputError(f"{where}: labels of several kinds ({value!r:.80})")
        return several  # type: ignore[return-value]
    found = _scalar(value, where)
    return None if found == UNLABELLED else found


def _scalar(value: Any, where: str) -> str | int | None:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise InvalidInputError(f"{where}: a label is bytes that are no text") from None
    if value is None or value != value:
        return None
    if isinstance(value, int | float) and float(value).is_integer():
        if int(value) < UNLABELLED:
            raise InvalidInputError(
                f"{where}: the class number {value}; classes are 0 and up, -1 is unlabelled"
            )
        return int(value)
    raise InvalidInputError(
        f"{where}: the label {value!r} is a {type(value).__name__}; {_EXPECTED}"
    )


def _without_multi_hot(rows: list[Label]) -> list[Label]:
    """Read lists of 0 and 1, all of one length, as multi-hot where they cannot be class numbers."""
    lists = [row for row in rows if isinstance(row, list)]
    if len(lists) < len(rows) or not lists or all(len(set(row)) == len(row) for row in lists):
        return rows
    if len({len(row) for row in lists}) == 1 and all(each in (0, 1) for r in lists for each in r):
        return [[i for i, each in enumerate(row) if each == 1] for row in lists]
    return rows


def _check_known(
    label: Label, classes: frozenset[str] | None, known: int | None, where: str
) -> None:
    for each in label if isinstance(label, list) else [label]:
        if isinstance(each, int) and known is not None and each >= known:
            raise InvalidInputError(
                f"{where}: the class {each} is beyond the {known} classes the file has"
            )
        if isinstance(each, str) and classes is not None and each not in classes:
            raise InvalidInputError(f"{where}: the class {each!r} is not among the file's names")
