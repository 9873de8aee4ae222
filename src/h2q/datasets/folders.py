"""A folder of photos, one sub-folder a class (torchvision's `ImageFolder` layout)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from h2q._typing import RandomState
from h2q.datasets.files import Verify, listed, unreadable
from h2q.datasets.items import Dataset, Items
from h2q.datasets.labels import encode_names
from h2q.datasets.registry import register
from h2q.datasets.sources import ImageFiles
from h2q.datasets.splitting import FRACTIONS, stratified_split
from h2q.errors import InvalidInputError
from h2q.images import scan_folder


@register("folder", "your own images, one folder a class; the split is drawn with the seed")
def load_folder(
    path: Path,
    *,
    random_state: RandomState = 0,
    fractions: Mapping[str, float] = FRACTIONS,
    verify: Verify = "header",
) -> Dataset:
    """Load `path/CLASS/**/image.jpg`.

    Parameters
    ----------
    path : Path
        Folder with one folder a class.
    random_state : int, Generator, RandomState or None
        Seed of the split, which is stratified by class.
    fractions : mapping of str to float
        Share of train, validation, query and database.
    verify : {"none", "exists", "header", "full"}
        How closely each file is looked at; unreadable files are left out and listed in
        `Dataset.skipped`.

    Returns
    -------
    Dataset
        Ids are paths relative to `path`.

    Raises
    ------
    InvalidInputError
        If there is no class folder, or a class has no readable image.
    """
    found = scan_folder(path)
    classes = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        raise InvalidInputError(
            f"{str(path)!r} has no class folders; expected {path.name}/CLASS/image.jpg"
        )
    files = [(file.relative_to(path).parts[0], file) for file in found if file.parent != path]
    skipped = [f"{file}: is in no class folder" for file in found if file.parent == path]
    bad = unreadable([file for _, file in files], verify)
    skipped += [f"{files[i][1]}: {reason}" for i, reason in bad.items()]
    good = [item for i, item in enumerate(files) if i not in bad]
    empty = sorted({p.name for p in classes} - {name for name, _ in good})
    if empty:
        raise InvalidInputError(
            f"{str(path)!r}: no readable image in {len(empty)} of {len(classes)} classes "
            f"({', '.join(empty[:10])}); remove these folders or fill them"
            + (f"; unreadable:\n{listed(skipped)}" if skipped else "")
        )
    labels, names = encode_names([name for name, _ in good])
    items = Items(
        labels=labels,
        ids=[file.relative_to(path).as_posix() for _, file in good],
        images=ImageFiles([file for _, file in good]),
    )
    parts = stratified_split(np.asarray(labels), fractions=fractions, random_state=random_state)
    return Dataset.from_split(f"folder:{path}", names, items, parts, tuple(skipped))
