"""Files of embeddings: `.npz` with ids and labels, or a bare `.npy`; no pickle."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._files import written_whole
from h2q._typing import FloatArray, StrPath
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.bigann import load_rows

_FORMAT: Final = "h2q-embeddings"
_FORMAT_VERSION: Final = 1
#: Keys an array of embeddings goes by, the one we write first.
_USUAL_KEYS: Final = ("features", "embeddings", "embedding", "vectors", "X", "z")


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Rows of real numbers, and what is known of each.

    Attributes
    ----------
    rows : ndarray of shape (n, d)
        Floating point; memory-mapped where it came from a `.npy` file.
    ids : list of str
        One a row.
    labels : ndarray or None
        Integer classes (n,), or multi-hot (n, c).
    classes : list of str or None
        Names of the classes.
    split : ndarray of str or None
        train, validation, query or database, one a row.
    """

    rows: FloatArray
    ids: list[str]
    labels: NDArray[Any] | None = None
    classes: list[str] | None = None
    split: NDArray[np.str_] | None = None

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
            ids=[self.ids[place] for place in places],
            labels=None if self.labels is None else self.labels[places],
            classes=self.classes,
            split=self.split[places],
        )


def save_embeddings(path: StrPath, embeddings: Embeddings) -> Path:
    """Write an `.npz` file, whole or not at all.

    Its keys (`features`, `ids`, and where known `labels`, `classes`, `split`) are those
    `h2q.datasets.load_dataset` reads, so a labelled file is a data set too.
    """
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(_FORMAT),
        "format_version": np.array(_FORMAT_VERSION),
        "features": np.asarray(embeddings.rows),
        "ids": np.array(embeddings.ids, dtype=np.str_),
    }
    if embeddings.labels is not None:
        arrays["labels"] = embeddings.labels
    if embeddings.classes is not None:
        arrays["classes"] = np.array(embeddings.classes, dtype=np.str_)
    if embeddings.split is not None:
        arrays["split"] = embeddings.split
    with written_whole(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
    return Path(path)


def load_embeddings(path: StrPath, *, key: str | None = None) -> Embeddings:
    """Read a `.npy` or `.fbin` (memory-mapped) or `.npz` file of embeddings.

    Parameters
    ----------
    path : path
        The file. Rows without ids are called "0", "1", ...
    key : str, optional
        Which array of an `.npz` holds the rows. By default `features` or another usual name, or
        the only two-dimensional floating-point array.

    Raises
    ------
    FormatError
        If the file is missing, damaged, or holds pickled objects.
    InvalidInputError
        If there is no such array, several could be meant, or ids, labels and split do not fit it.
    """
    path = Path(path)
    if path.suffix == ".fbin" and path.is_file():
        rows = _check_rows(load_rows(path), str(path))
        return Embeddings(rows, [str(i) for i in range(len(rows))])
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r")
        if isinstance(loaded, np.ndarray):
            rows = _check_rows(loaded, str(path))
            return Embeddings(rows, [str(i) for i in range(len(rows))])
        with loaded as archive:
            arrays = {name: archive[name] for name in archive.files}
    except InvalidInputError:
        raise
    except FileNotFoundError as error:
        raise FormatError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path}: not a .npy or .npz file, or a damaged one ({error})") from error
    name = key or _find_key(arrays, path)
    if name not in arrays:
        raise InvalidInputError(f"{path} has no array {name!r}; it has {', '.join(arrays)}")
    rows = _check_rows(arrays[name], f"{path}: {name}")
    ids = arrays["ids"].tolist() if "ids" in arrays else range(len(rows))
    labels, split = arrays.get("labels"), arrays.get("split")
    names = next((arrays[k] for k in ("classes", "words", "class_names") if k in arrays), None)
    if labels is not None and labels.ndim == 2 and names is not None:
        if labels.shape[1] != len(names):  # packed with numpy.packbits
            labels = np.unpackbits(labels, axis=1, count=len(names))
    elif labels is not None and labels.dtype.kind == "U":
        names, labels = np.unique(labels, return_inverse=True)
    for what, values in (("ids", ids), ("labels", labels), ("split names", split)):
        if values is not None and len(values) != len(rows):
            raise InvalidInputError(f"{path}: {len(rows)} rows in {name} but {len(values)} {what}")
    return Embeddings(
        rows=rows,
        ids=[str(i) for i in ids],
        labels=labels,
        classes=None if names is None else [str(c) for c in names],
        split=None if split is None else split.astype(np.str_),
    )


def is_codes_file(path: StrPath) -> bool:
    """Whether an `.npz` file says that it holds packed codes (`h2q.codes.save_codes`)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return "format" in archive.files and str(archive["format"]) == "h2q-codes"
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile):
        return False  # whoever reads it next says what is wrong with it


def array_names(path: StrPath) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype of each array of an `.npz` file, by name."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: (archive[name].shape, str(archive[name].dtype)) for name in archive.files}


def _find_key(arrays: dict[str, NDArray[Any]], path: Path) -> str:
    candidates = [n for n, a in arrays.items() if a.ndim == 2 and a.dtype.kind == "f"]
    for usual in _USUAL_KEYS:
        if usual in candidates:
            return usual
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise InvalidInputError(
            f"{path} has several arrays of embeddings; name one with key (--key): "
            f"{', '.join(candidates)}"
        )
    raise InvalidInputError(
        f"{path} has no two-dimensional floating-point array; it has {', '.join(arrays) or 'none'}"
    )


def _check_rows(rows: NDArray[Any], name: str) -> FloatArray:
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or 0 in rows.shape:
        raise InvalidInputError(
            f"{name}: expected real rows of shape (n, d), got {rows.dtype} of shape {rows.shape}"
        )
    if rows.dtype == np.uint8:
        raise InvalidInputError(
            f"{name}: uint8 rows look like packed codes or pixels, not embeddings; "
            "convert them to a floating-point type if they are embeddings"
        )
    return rows
