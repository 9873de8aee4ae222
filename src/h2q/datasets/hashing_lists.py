"""Split lists as deep-hashing papers publish them: a path and a multi-hot label on each line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from h2q.errors import FormatError, InvalidInputError

#: From a listed path to where its file may lie below the data set's folder, likeliest first.
Places = Callable[[PurePosixPath], Sequence[PurePosixPath]]

_NAMES = ("train.txt", "test.txt", "database.txt")
_PROBES = 20

HashingList = tuple[list[PurePosixPath], NDArray[np.uint8]]


def find_lists(folder: Path) -> Path | None:
    """Return the folder that holds train.txt, test.txt and database.txt: `folder`, or below it."""
    for candidate in (folder, folder / "lists", folder / "data"):
        if all((candidate / name).is_file() for name in _NAMES):
            return candidate
    return None


def read_list(path: Path, n_classes: int) -> HashingList:
    """Read one list.

    Parameters
    ----------
    path : Path
        Lines of ``path 0 1 0 ...``.
    n_classes : int
        Number of label columns.

    Returns
    -------
    paths : list of PurePosixPath
        As listed; their first folders are those of whoever wrote the list.
    labels : ndarray of uint8, shape (n, n_classes)

    Raises
    ------
    FormatError
        For a line with another number of labels, or a label other than 0 and 1.
    """
    paths: list[PurePosixPath] = []
    flags: list[str] = []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not UTF-8 text: {error}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        row = "".join(words[1:])
        if len(words) != n_classes + 1 or len(row) != n_classes or row.strip("01"):
            raise FormatError(
                f"{path}, line {number}: expected a path and {n_classes} labels of 0 or 1"
            )
        paths.append(PurePosixPath(words[0]))
        flags.append(row)
    if not paths:
        raise FormatError(f"{path} is empty")
    bits = np.frombuffer("".join(flags).encode("ascii"), dtype=np.uint8) - ord("0")
    return paths, bits.reshape(len(paths), n_classes)


def locate(root: Path, listed: Sequence[PurePosixPath], places: Places) -> list[Path]:
    """Return where each listed file should lie below `root`.

    The first few files of each listed folder are looked for at all their places; the place that
    holds one of them is taken for the whole folder.
    """
    by_folder: dict[PurePosixPath, list[PurePosixPath]] = {}
    for path in listed:
        by_folder.setdefault(path.parent, []).append(path)
    choice: dict[PurePosixPath, int] = {}
    for folder, members in by_folder.items():
        found = [
            next((i for i, place in enumerate(places(p)) if (root / place).is_file()), None)
            for p in members[:_PROBES]
        ]
        choice[folder] = next((i for i in found if i is not None), 0)
    return [root / places(path)[choice[path.parent]] for path in listed]


def check_count(name: str, what: str, found: int, expected: Sequence[int]) -> None:
    """Raise `InvalidInputError` unless `found` is one of the published counts."""
    if found not in expected:
        wanted = " or ".join(f"{count:,}" for count in expected)
        raise InvalidInputError(
            f"{name}: {what} holds {found:,} items, the published one {wanted} "
            "(check_counts=False takes another)"
        )
