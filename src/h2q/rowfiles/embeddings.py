"""A whole file of embeddings in memory, or memory-mapped; and `.npz` files of them written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from h2q._files import written_whole
from h2q._paths import as_path
from h2q._typing import FloatArray, StrPath
from h2q.collections.base import Id
from h2q.errors import H2QError, InvalidInputError
from h2q.rowfiles.bigann import save_rows
from h2q.rowfiles.ids import ids_as_array, row_names
from h2q.rowfiles.labels import read_labels
from h2q.rowfiles.parquet import parquet_bytes
from h2q.rowfiles.registry import open_rows
from h2q.rowfiles.rows import USUAL_KEYS, RowFile, Rows

_FORMAT: Final = "h2q-embeddings"
_FORMAT_VERSION: Final = 1
_WRITTEN: Final = ("npz", "parquet", "npy", "fbin")


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Rows of real numbers, and what is known of each.

    Attributes
    ----------
    rows : ndarray of shape (n, d)
        Floating point; memory-mapped where it came from a `.npy` file.
    ids : sequence of str or int
        One a row.
    labels : ndarray or None
        Integer classes (n,), -1 where there is none, or multi-hot (n, c).
    classes : list of str or None
        Names of the classes.
    split : ndarray of str or None
        train, validation, query or database, one a row.
    """

    rows: FloatArray
    ids: Sequence[Id]
    labels: NDArray[Any] | None = None
    classes: list[str] | None = None
    split: NDArray[np.str_] | None = None

    def __post_init__(self) -> None:
        """Refuse ids that are not one a row."""
        count = len(self.ids) if self.ids is not None else 0
        if count != len(self.rows):
            raise InvalidInputError(
                f"{len(self.rows)} rows but {count} ids; give an id a row, such as range(len(rows))"
            )

    def part(self, name: str | None) -> Embeddings:
        """Return the rows of one split; all of them for None, "all" or where no split is known.

        Raises
        ------
        InvalidInputError
            If there is a split, but not of that name.
        """
        if name in (None, "all") or self.split is None:
            return self
        places = np.flatnonzero(self.split == name)
        if len(places) == 0:
            known = ", ".join(sorted(set(self.split.tolist())))
            raise InvalidInputError(f"no rows in the split {name!r}; the file has: {known}, all")
        return Embeddings(
            rows=self.rows[places],
            ids=[self.ids[place] for place in places.tolist()],
            labels=None if self.labels is None else self.labels[places],
            classes=self.classes,
            split=self.split[places],
        )


def save_embeddings(path: StrPath, embeddings: Embeddings, format: str | None = None) -> Path:
    """Write a file of embeddings, whole or not at all.

    Parameters
    ----------
    path : path
    embeddings : Embeddings
    format : {"npz", "parquet", "npy", "fbin"}, optional
        By default by the suffix, or else "npz", whose keys (`features`, `ids`, and where known
        `labels`, `classes`, `split`) are those `h2q.datasets.load_dataset` reads: a labelled file
        is a data set too. "npy" and "fbin" hold the rows alone.

    Raises
    ------
    InvalidInputError
        For another format.
    """
    path = as_path(path)
    suffix = path.suffix.lower().removeprefix(".")
    chosen = format or (suffix if suffix in _WRITTEN else "npz")
    if chosen not in _WRITTEN:
        raise InvalidInputError(f"embeddings are written as {', '.join(_WRITTEN)}, not {chosen!r}")
    if chosen == "fbin":
        return save_rows(path, embeddings.rows)
    with written_whole(path) as file:
        if chosen == "npz":
            write_embeddings(file, embeddings)
        elif chosen == "npy":
            np.save(file, embeddings.rows, allow_pickle=False)
        else:
            file.write(parquet_bytes(_as_rows(embeddings), None))
    return path


def _as_rows(embeddings: Embeddings) -> Rows:
    labels, splits = embeddings.labels, embeddings.split
    return Rows(
        np.asarray(embeddings.rows),
        list(embeddings.ids),
        None if splits is None else [{"split": split} for split in splits.tolist()],
        None if labels is None else read_labels(labels, "the embeddings", names=embeddings.classes),
    )


def write_embeddings(file: BinaryIO, embeddings: Embeddings) -> None:
    """Write the content of an `.npz` file (`save_embeddings`)."""
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(_FORMAT),
        "format_version": np.array(_FORMAT_VERSION),
        USUAL_KEYS[0]: np.asarray(embeddings.rows),
        "ids": ids_as_array(embeddings.ids),
    }
    if embeddings.labels is not None:
        arrays["labels"] = embeddings.labels
    if embeddings.classes is not None:
        arrays["classes"] = np.array(embeddings.classes, dtype=np.str_)
    if embeddings.split is not None:
        arrays["split"] = embeddings.split
    np.savez(file, allow_pickle=False, **arrays)


def load_embeddings(path: StrPath, *, key: str | None = None) -> Embeddings:
    """Read a whole file of embeddings, of any format that holds some (`h2q export --list`).

    Parameters
    ----------
    path : path or URL
        The file; `.npy` and `.fbin` are memory-mapped. Rows without ids are called "0", "1", ...
    key : str, optional
        Which array of an `.npz`, or column of a table, holds the rows. By default `features` or
        another usual name, or the only one there can be.

    Raises
    ------
    FormatError
        If the file is missing, damaged, or holds pickled objects.
    InvalidInputError
        If there is no such array, several could be meant, or ids, labels and split do not fit it.
    """
    return embeddings_of(open_rows(path, key=key, kind="embeddings"))


def embeddings_of(file: RowFile) -> Embeddings:
    """Return all rows of an open file of embeddings."""
    if file.count == 0:
        raise InvalidInputError(f"{file.name}: holds no rows")
    if file.mapped is not None:
        return Embeddings(file.mapped(), row_names(0, file.count))
    rows = file.read(0, file.count)
    labels, classes = (None, None) if rows.labels is None else rows.labels.arrays()
    return Embeddings(
        rows.values, list(rows.ids or []), labels, classes or file.classes, rows.split
    )


def is_codes_file(path: StrPath) -> bool:
    """Whether a file says that it holds packed codes, and states their length."""
    try:
        return open_rows(path).kind == "codes"
    except (H2QError, OSError):
        return False  # whoever reads it next says what is wrong with it
