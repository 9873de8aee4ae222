"""What payloads can be filtered by: their keys, the values of each, the items that have one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q.collections.base import Where
from h2q.collections.conditions import parse_where
from h2q.errors import InvalidInputError

#: A key with more values than this is no facet.
_MOST_VALUES: Final = 500
_LONGEST_TEXT: Final = 80
#: Facts of a file, by which nobody sorts photos.
_NO_FACETS: Final = frozenset(
    {"path", "path_hex", "folder", "size", "mtime_ns", "sha256", "width", "height", "gps"}
)
#: What people filter by most comes first.
_FIRST: Final = ("label", "labels", "folder", "taken", "camera")
#: In the order of the values themselves; others by how many items have them.
_IN_ORDER: Final = frozenset({"folder", "taken"})
_DATE: Final = "taken"


@dataclass(frozen=True)
class FacetValue:
    """One value of a payload key.

    Attributes
    ----------
    text : str
        As a person reads it; no two of a facet are the same.
    count : int
        Items that have it, of those looked at.
    where : mapping
        The condition that these items meet.
    """

    text: str
    count: int
    where: Where


@dataclass(frozen=True)
class Facet:
    """A payload key and its values, the most frequent first; dates and folders in their order."""

    key: str
    values: list[FacetValue]


@dataclass(frozen=True)
class _Value:
    """A value as JSON: 1, true and "1" are three. Dates are taken by their year."""

    json: str
    listed: bool = False
    year: bool = False

    @property
    def text(self) -> str:
        value = json.loads(self.json)
        return value if isinstance(value, str) else self.json

    @property
    def kind(self) -> str:
        value = json.loads(self.json)
        kind = {str: "", bool: "yes or no"}.get(type(value), "number")
        return ", ".join(filter(None, (kind, "in a list" if self.listed else "")))

    def condition(self, key: str) -> dict[str, Any]:
        value = json.loads(self.json)
        if self.listed:
            return {key: {"$contains": value}}
        if self.year:  # ":" comes after "9"
            after = ":" if value == "9999" else f"{int(value) + 1:04}"
            return {key: {"$gte": value, "$lt": after}}
        return {key: value}

    def can_be_asked_for(self, key: str) -> bool:
        try:
            parse_where(self.condition(key))
        except InvalidInputError:  # a key with "$", a number of thirty digits
            return False
        return True


@dataclass(frozen=True)
class _Group:
    """A value of a facet, and where it is; places ascend."""

    text: str
    where: Where
    places: NDArray[np.int64]


class Facets:
    """The facets of all items.

    Parameters
    ----------
    columns : mapping of key to Column
    tree : FolderTree
    newest : ndarray of shape (m,), int64, or None
        The place in the end of each that was put down, -1 where it is none; None: they are right.
    pause : callable
        Called between them, that others may run.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        tree: FolderTree,
        newest: NDArray[np.int64] | None,
        pause: Callable[[], None],
    ) -> None:
        found: dict[str, list[_Group]] = {}
        for key, column in columns.items():
            found[key] = column.groups(key)
            pause()
        found["folder"] = tree.groups()
        if newest is not None:
            found = {key: _moved(groups, newest) for key, groups in found.items()}
        self._groups = {key: found[key] for key in sorted(found, key=_order) if found[key]}

    def counted(self, mask: NDArray[np.bool_]) -> list[Facet]:
        """Return them with the counts of the places in `mask`, shape (n,)."""
        facets = []
        for key, groups in self._groups.items():
            values = [FacetValue(g.text, int(mask[g.places].sum()), g.where) for g in groups]
            if key not in _IN_ORDER:
                values.sort(key=lambda v: -v.count)  # stable: by name where counts are equal
            facets.append(Facet(key, values))
        return facets

    def numbered(self, key: str, n: int) -> tuple[list[str], NDArray[np.int32]]:
        """Return the values of a facet and, for each of n places, that of its value, or -1."""
        numbers = np.full(n, -1, dtype=np.int32)
        groups = sorted(self._groups.get(key, []), key=lambda group: -len(group.places))
        for number, group in enumerate(groups):
            numbers[group.places] = number
        return [group.text for group in groups], numbers


class Column:
    """Places by the value of one key, until there are too many values.

    Parameters
    ----------
    key : str
    """

    def __init__(self, key: str) -> None:
        self._by_year = key == _DATE
        self._places: dict[_Value, list[int]] = {}
        self._values: dict[tuple[type, object, bool], _Value] = {}
        self._full = False

    @staticmethod
    def is_made_of(key: str) -> bool:
        """Whether a key may become a facet."""
        return key not in _NO_FACETS

    def add(self, place: int, value: object) -> None:
        """Put down the value of the item at a place; places ascend."""
        if self._full:
            return
        listed = isinstance(value, list)
        for each in value if isinstance(value, list) else (value,):
            if not isinstance(each, str | bool | int):
                continue
            name = (type(each), each, listed)
            known = self._values.get(name)
            if known is None:
                if isinstance(each, str) and len(each) > _LONGEST_TEXT:
                    continue
                known = self._value_of(each, listed)
                if len(self._values) < 50 * _MOST_VALUES:  # dates are many, their years few
                    self._values[name] = known
            self._places.setdefault(known, []).append(place)
        if len(self._places) > _MOST_VALUES:
            self._full = True
            self._values.clear()

    def _value_of(self, value: str | bool | int, listed: bool) -> _Value:
        if self._by_year and not listed and isinstance(value, str):
            year = value[:4]
            if len(year) == 4 and year.isascii() and year.isdigit():
                return _Value(json.dumps(year), year=True)
        return _Value(json.dumps(value), listed)

    def groups(self, key: str) -> list[_Group]:
        """Return the values by their text, whatever its case; none where there are too many."""
        if self._full:
            return []
        values = [value for value in self._places if value.can_be_asked_for(key)]
        alike = Counter(value.text for value in values)
        groups = []
        for value in values:
            text = value.text
            if alike[text] > 1 and value.kind:
                text = f"{text} ({value.kind})"
            places = np.unique(np.asarray(self._places[value], dtype=np.int64))
            groups.append(_Group(text, value.condition(key), places))
        return sorted(groups, key=lambda group: (group.text.casefold(), group.text))


class FolderTree:
    """Places by folder: a photo is in the folder of its file and in all above it."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], list[int]] = {}
        self._roots: set[str] = set()

    def add(self, place: int, root: str, path: object) -> None:
        """Put down a photo's path below a root; places ascend."""
        if not isinstance(path, str):
            return
        self._roots.add(root)
        end = path.find("/")
        while end > 0:
            self._places.setdefault((root, path[:end]), []).append(place)
            end = path.find("/", end + 1)

    def groups(self) -> list[_Group]:
        """Return the folders; none where they say no more than the label does."""
        several = len(self._roots) > 1
        depths = [name.count("/") for _, name in self._places]
        if not several and max(depths, default=0) == 0:
            return []
        # The upper ones where all are too many.
        deepest = max(depths, default=0)
        while deepest >= 0 and sum(depth <= deepest for depth in depths) > _MOST_VALUES:
            deepest -= 1
        groups = []
        for (root, name), places in self._places.items():
            if name.count("/") <= deepest:
                inside: dict[str, Any] = {"path": {"$gte": f"{name}/", "$lt": f"{name}0"}}
                text = f"{Path(root).name}/{name}" if several else name
                where = {"folder": root, **inside} if several else inside
                groups.append(_Group(text, where, np.asarray(places, dtype=np.int64)))
        # As a tree is read: what is inside a folder follows it.
        return sorted(groups, key=lambda group: group.text.casefold().split("/"))


def _moved(groups: list[_Group], newest: NDArray[np.int64]) -> list[_Group]:
    moved = []
    for group in groups:
        places = newest[group.places]
        if (places >= 0).any():
            moved.append(replace(group, places=places[places >= 0]))
    return moved


def _order(key: str) -> tuple[int, str]:
    return (_FIRST.index(key) if key in _FIRST else len(_FIRST), key)
