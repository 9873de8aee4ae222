"""A CSV file of image paths and labels, with a split column or without one."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from h2q._foreign import reading, size_of
from h2q._typing import RandomState
from h2q.datasets.files import Verify, listed, unreadable
from h2q.datasets.items import Dataset, Items
from h2q.datasets.labels import encode_name_sets, encode_names
from h2q.datasets.registry import register
from h2q.datasets.sources import ImageFiles
from h2q.datasets.splitting import FRACTIONS, complete_split, stratified_split
from h2q.errors import FormatError, InvalidInputError

_SEPARATORS = re.compile(r"[;|]")


@register("csv", "your own images by a table: columns path, label (a;b for several), split")
def load_csv(
    path: Path,
    *,
    random_state: RandomState = 0,
    path_column: str = "path",
    label_column: str | None = None,
    split_column: str = "split",
    root: Path | str | None = None,
    validation: float = 0.1,
    fractions: Mapping[str, float] = FRACTIONS,
    verify: Verify = "header",
) -> Dataset:
    """Load a CSV file with a header line.

    Parameters
    ----------
    path : Path
        UTF-8, separated by commas.
    random_state : int, Generator, RandomState or None
        Seed of a split, or of a validation set, that is drawn here.
    path_column : str
        Column of the image paths, relative to `root`.
    label_column : str, optional
        Column of the class names; ``label`` or ``labels`` by default. Where any row holds ``;`` or
        ``|`` the data set is multi-label; a row may then have no label at all.
    split_column : str
        Column that says train, validation, query or database (or an alias such as test). Without
        it the split is drawn.
    root : path, optional
        The folder of the file by default.
    validation : float
        Share of train held out where the split names no validation rows; 0 for none.
    fractions : mapping of str to float
        Share of each split where it is drawn.
    verify : {"none", "exists", "header", "full"}
        How closely each image is looked at; unreadable ones are left out and listed in
        `Dataset.skipped`.

    Raises
    ------
    FormatError
        If the file is not UTF-8, or a row has another number of fields than the header.
    InvalidInputError
        For a missing column, an empty path or label, paths that occur twice, or when no image can
        be read.
    """
    rows = _read(path)
    columns = list(rows[0])
    label_column = label_column or next((c for c in ("label", "labels") if c in columns), "label")
    # A split column is needed only where it is asked for by name.
    needed = [path_column, label_column, *([split_column] if split_column != "split" else [])]
    for column in needed:
        if column not in columns:
            raise InvalidInputError(f"{path} has no column {column!r}; it has {', '.join(columns)}")
    multi = any(_SEPARATORS.search(row[label_column]) for row in rows)
    for number, row in enumerate(rows, start=2):
        for column in (path_column,) if multi else (path_column, label_column):
            if not row[column].strip():
                raise InvalidInputError(f"{path}, line {number}: the {column} is empty")
    folder = path.parent if root is None else Path(root)
    files = [folder / row[path_column].strip() for row in rows]
    bad = unreadable(files, verify)
    skipped = tuple(f"{files[i]}: {reason}" for i, reason in bad.items())
    if len(bad) == len(files):
        raise InvalidInputError(f"{path}: none of its images can be read:\n{listed(skipped)}")
    keep = [i for i in range(len(rows)) if i not in bad]
    names = [rows[i][label_column] for i in keep]
    labels, classes = (
        encode_name_sets([_names(name) for name in names])
        if multi
        else encode_names([name.strip() for name in names])
    )
    ids = [rows[i][path_column].strip() for i in keep]
    if len(set(ids)) < len(ids):
        twice = Counter(ids).most_common(1)[0][0]
        raise InvalidInputError(f"{path}: {twice!r} occurs more than once")
    items = Items(labels=labels, ids=ids, images=ImageFiles([files[i] for i in keep]))
    if split_column in columns:
        parts = complete_split(
            [rows[i][split_column] for i in keep],
            labels,
            validation=validation,
            random_state=random_state,
        )
    else:
        parts = stratified_split(labels, fractions=fractions, random_state=random_state)
    return Dataset.from_split(f"csv:{path}", classes, items, parts, skipped)


def _read(path: Path) -> list[dict[str, str]]:
    with reading(path, "a CSV file"):
        size_of(path)
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            rows = []
            for row in reader:
                if None in row or None in row.values():
                    raise FormatError(
                        f"{path}, line {reader.line_num}: expected {len(reader.fieldnames or ())} "
                        "fields; put values that hold a comma in double quotes"
                    )
                rows.append(row)
    if not rows:
        raise InvalidInputError(f"{path} has no rows below its header")
    return rows


def _names(label: str) -> list[str]:
    return [name.strip() for name in _SEPARATORS.split(label) if name.strip()]
