"""Data sets by name: `load_dataset("digits")`, `load_dataset("folder:photos")`."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from h2q._foreign import naming
from h2q._paths import path_text
from h2q._typing import RandomState
from h2q.datasets.items import Dataset
from h2q.errors import InvalidInputError

Loader = Callable[..., Dataset]


@dataclass(frozen=True)
class Entry:
    """A data set that can be loaded by name.

    Attributes
    ----------
    name : str
        What comes before the colon.
    description : str
        One line.
    takes_path : bool
        Whether a path follows the colon.
    load : callable
        `load(path, *, random_state, **options)`, or without the path.
    """

    name: str
    description: str
    takes_path: bool
    load: Loader

    @property
    def usage(self) -> str:
        """What to write, such as ``"digits"`` or ``"folder:PATH"``."""
        return f"{self.name}:PATH" if self.takes_path else self.name

    @property
    def options(self) -> list[str]:
        """Names of the options of `load_dataset` this data set takes."""
        return [
            p.name
            for p in inspect.signature(self.load).parameters.values()
            if p.kind is p.KEYWORD_ONLY and p.name != "random_state"
        ]


_ENTRIES: dict[str, Entry] = {}


def register(name: str, description: str, *, takes_path: bool = True) -> Callable[[Loader], Loader]:
    """Make a loader known by `name`; a decorator."""

    def add(load: Loader) -> Loader:
        _ENTRIES[name] = Entry(name, description, takes_path, load)
        return load

    return add


def list_datasets() -> list[Entry]:
    """Return the data sets that can be loaded, sorted by name."""
    return sorted(_ENTRIES.values(), key=lambda entry: entry.name)


def load_dataset(spec: str, *, random_state: RandomState = 0, **options: Any) -> Dataset:
    """Load a data set by name, or from a folder, a CSV file or an `.npz` file.

    Parameters
    ----------
    spec : str
        ``"digits"``, ``"folder:PATH"``, ``"csv:PATH"``, ``"npz:PATH"``, ``"cifar10:PATH"``, ...
        (`list_datasets` has them all), or a path alone: a folder, a ``.csv`` or a ``.npz`` file.
    random_state : int, Generator, RandomState or None
        Seed of the splits that are drawn here.
    **options
        Options of that loader; see the loader.

    Returns
    -------
    Dataset

    Raises
    ------
    InvalidInputError
        For an unknown name or option (the message gives the nearest valid one), a missing path,
        or labels and features that cannot be used.
    FormatError
        For a file that is damaged or not of the format it should have.

    Examples
    --------
    >>> data = load_dataset("digits")
    >>> data.n_classes, len(data.train), len(data.query)
    (10, 899, 180)
    """
    entry, path = _resolve(spec)
    for option in options:
        if option not in entry.options:
            raise InvalidInputError(
                f"data set {entry.name!r} has no option {option!r}"
                + (_nearest(option, entry.options) or f"; it takes {', '.join(entry.options)}")
            )
    if not entry.takes_path:
        return entry.load(random_state=random_state, **options)
    with naming(path):
        return entry.load(path, random_state=random_state, **options)


def check_dataset(spec: str) -> None:
    """Raise `InvalidInputError` where `load_dataset` would not know what is meant."""
    _resolve(spec)


def seen_from(spec: str, folder: Path) -> str:
    """Return what a spec means to somebody in another folder: its relative path begins there.

    Parameters
    ----------
    spec : str
        As `load_dataset` takes it; one without a relative path is returned as it is.
    folder : Path
    """
    name, colon, rest = spec.partition(":")
    if name in _ENTRIES and (colon or not _ENTRIES[name].takes_path):
        if not rest or Path(rest).expanduser().is_absolute():
            return spec
        return f"{name}:{folder / rest}"
    return str(folder / Path(spec).expanduser())


def _resolve(spec: str) -> tuple[Entry, Path]:
    spec = path_text(spec, "the data set")
    name, colon, rest = spec.partition(":")
    if name in _ENTRIES and (colon or not Path(spec).exists() or not _ENTRIES[name].takes_path):
        entry = _ENTRIES[name]
        if entry.takes_path and not rest:
            raise InvalidInputError(f"{spec!r} needs a path: write {entry.usage}")
        if rest and not entry.takes_path:
            raise InvalidInputError(f"data set {name!r} takes no path, got {rest!r}")
        return entry, _existing(Path(rest).expanduser(), entry) if rest else Path()
    path = Path(spec).expanduser()
    by_kind = "folder" if path.is_dir() else path.suffix.lower().lstrip(".")
    if path.exists() and by_kind in ("folder", "csv", "npz"):
        return _ENTRIES[by_kind], path
    usages = [entry.usage for entry in list_datasets()]
    raise InvalidInputError(
        f"no data set {spec!r}"
        + (_nearest(name, list(_ENTRIES)) or "")
        + f"; known: {', '.join(usages)}, or the path of a folder, .csv or .npz file"
    )


def _existing(path: Path, entry: Entry) -> Path:
    if not path.exists():
        raise InvalidInputError(f"{entry.usage}: there is no {str(path)!r}")
    return path


def _nearest(word: str, known: list[str]) -> str | None:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else None
