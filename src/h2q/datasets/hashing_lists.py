"""Split lists as deep-hashing papers publish them: a path and a multi-hot label on each line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from h2q._foreign import reading
from h2q.errors import FormatError, InvalidInputError

#: From the folder and name of a listed file to where it may lie below the data set's folder
#: (as many places for each file, in the same order).
Places = Callable[[str, str], Sequence[str]]

_NAMES = ("train.txt", "test.txt", "database.txt")
_PROBES = 20

#: Paths as listed, with forward slashes, and labels (n, n_classes). Strings: there are 150,000.
HashingList = tuple[list[str], NDArray[np.uint8]]


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
    paths : list of str
        As listed; their first folders are those of whoever wrote the list.
    labels : ndarray of uint8, shape (n, n_classes)

    Raises
    ------
    FormatError
        For a line with another number of labels, or a label other than 0 and 1.
    """
    paths: list[str] = []
    flags: list[str] = []
    with reading(path, "a list in UTF-8"):
        text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), start=1):
        name, _, rest = line.strip().partition(" ")
        if not name:
            continue
        row = rest.replace(" ", "")
        if len(row) != n_classes or len(rest) != 2 * n_classes - 1 or row.strip("01"):
            raise FormatError(
                f"{path}, line {number}: expected a path and {n_classes} labels of 0 or 1, "
                "with one space between them"
            )
        paths.append(name)
        flags.append(row)
    if not paths:
        raise FormatError(f"{path} is empty")
    bits = np.frombuffer("".join(flags).encode("ascii"), dtype=np.uint8) - ord("0")
    return paths, bits.reshape(len(paths), n_classes)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name no file can have
        return False


def locate(root: Path, listed: Sequence[str], places: Places) -> list[str]:
    """Return where each listed file should lie below `root`.

    The first few files of each listed folder are looked for at all their places; the place that
    holds one of them is taken for the whole folder.
    """
    base = str(root)
    split = [(path.rpartition("/")[0], base_name(path)) for path in listed]
    probes: dict[str, list[str]] = {}
    for folder, name in split:
        if len(members := probes.setdefault(folder, [])) < _PROBES:
            members.append(name)
    choice: dict[str, int] = {}
    for folder, names in probes.items():
        found = (
            i
            for name in names
            for i, place in enumerate(places(folder, name))
            if _is_file(root / place)
        )
        choice[folder] = next(found, 0)
    return [f"{base}/{places(folder, name)[choice[folder]]}" for folder, name in split]


def base_name(path: str) -> str:
    """Return the file name of a listed path."""
    return path.rpartition("/")[2]


def check_count(name: str, what: str, found: int, expected: Sequence[int]) -> None:
    """Raise `InvalidInputError` unless `found` is one of the published counts."""
    if found not in expected:
        wanted = " or ".join(f"{count:,}" for count in expected)
        raise InvalidInputError(
            f"{name}: {what} holds {found:,} items, the published one {wanted} "
            "(check_counts=False takes another)"
        )
