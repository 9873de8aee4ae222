"""Indexes of Milvus for binary vectors, by our names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from h2q.collections.base import IndexKind
from h2q.collections.inputs import as_count
from h2q.errors import CompatibilityError, InvalidInputError

_TYPES: Final[dict[IndexKind, str]] = {
    "flat": "BIN_FLAT",
    "ivf": "BIN_IVF_FLAT",
    "hnsw": "HNSW",
}
#: Options an index is built with, and their names and defaults in Milvus.
_BUILD: Final[dict[IndexKind, dict[str, tuple[str, int]]]] = {
    "flat": {},
    "ivf": {"nlist": ("nlist", 1024)},
    "hnsw": {"m": ("M", 16), "ef_construction": ("efConstruction", 200)},
}
#: Options of a search: those of the object, not of the collection.
_SEARCH: Final[dict[IndexKind, dict[str, tuple[str, int]]]] = {
    "flat": {},
    "ivf": {"nprobe": ("nprobe", 64)},
    "hnsw": {"ef_search": ("ef", 256)},
}


@dataclass(frozen=True)
class Index:
    """How items are found.

    Attributes
    ----------
    kind : str
    build : dict
        Options it was built with, by our names.
    search : dict
        Options it is searched with.
    """

    kind: IndexKind
    build: dict[str, int]
    search: dict[str, int]

    def build_parameters(self) -> dict[str, Any]:
        """State the index in Milvus's words."""
        names = _BUILD[self.kind]
        return {
            "index_type": _TYPES[self.kind],
            "metric_type": "HAMMING",
            "params": {names[name][0]: value for name, value in self.build.items()},
        }

    def search_parameters(self, limit: int, *, whole: bool = False) -> dict[str, int]:
        """Parameters of a search for `limit` items; `whole`: look at every list of an ivf."""
        if self.kind == "ivf":
            nlist = self.build["nlist"]
            return {"nprobe": nlist if whole else min(self.search["nprobe"], nlist)}
        if self.kind == "hnsw":
            return {"ef": max(self.search["ef_search"], limit)}
        return {}


def as_index(kind: str | None, options: Mapping[str, int] | None) -> Index:
    """Check what was asked for and fill in the defaults.

    Raises
    ------
    InvalidInputError
    """
    chosen = _kind(kind or "flat")
    _check_options(chosen, options)
    return _filled(chosen, dict(options or {}))


def reopened(
    where: object,
    kept: Mapping[str, Any],
    kind: str | None,
    options: Mapping[str, int] | None,
) -> Index:
    """Return the index of a collection, searched with the options given.

    Parameters
    ----------
    where : object
        Names the collection in messages.
    kept : mapping
        Kind and build options, as the collection states them.
    kind, options
        What was asked for.

    Raises
    ------
    CompatibilityError
        If it has another index, or was built with other options.
    InvalidInputError
        If there is no such index or option.
    """
    own = _kind(str(kept["kind"]))
    if kind is not None and _kind(kind) != own:
        raise CompatibilityError(
            f"{where}: the collection was made with index={own!r}, index={kind!r} was asked for; "
            "leave index out, or make another collection"
        )
    _check_options(own, options)
    build = {name: int(value) for name, value in kept["options"].items()}
    for name, value in (options or {}).items():
        if name in build and build[name] != value:
            raise CompatibilityError(
                f"{where}: its index was built with {name}={build[name]}, {name}={value} was "
                "asked for; leave it out, or make another collection"
            )
    return _filled(own, {**build, **(options or {})})


def _kind(kind: str) -> IndexKind:
    for known in _TYPES:
        if kind == known:
            return known
    raise InvalidInputError(
        f"a Milvus collection has index={' or '.join(map(repr, _TYPES))}, got {kind!r}"
    )


def _check_options(kind: IndexKind, options: Mapping[str, int] | None) -> None:
    known = [*_BUILD[kind], *_SEARCH[kind]]
    for name, value in (options or {}).items():
        if name not in known:
            has = f"has {', '.join(known)}" if known else "has none"
            raise InvalidInputError(f"index_options: {name!r} is unknown; index={kind!r} {has}")
        as_count(value, f"index_options: {name}", least=1)


def _filled(kind: IndexKind, options: Mapping[str, int]) -> Index:
    build, search = (
        {name: int(options.get(name, default)) for name, (_, default) in table[kind].items()}
        for table in (_BUILD, _SEARCH)
    )
    return Index(kind, build, search)
