"""A collection as the page walks through it: items by place, facets with counts, conditions.

A catalog is an immutable picture of the ids, codes and groupable payload values of all items, in
the order of adding. It is read in one pass and read again when the collection has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.collections.base import Collection, Id, Where

_BATCH: Final = 20_000
#: A key with more values than this is no facet.
_MOST_VALUES: Final = 500
#: Facts of a file, by which nobody sorts photos.
_NO_FACETS: Final = frozenset(
    {"path", "folder", "size", "mtime_ns", "sha256", "width", "height", "gps"}
)
#: What people filter by most comes first.
_FIRST: Final = ("label", "labels", "folder", "taken", "camera")
#: In the order of the values themselves; others by how many items have them.
_IN_ORDER: Final = frozenset({"folder", "taken"})
_DATE: Final = "taken"
_MOST_CONDITIONS: Final = 64


@dataclass(frozen=True)
class FacetValue:
    """One value of a payload key.

    Attributes
    ----------
    text : str
        As a person reads it.
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


class Catalog:
    """All items of a collection by place.

    Attributes
    ----------
    ids : list of str or int
        The oldest first; `ids[place]`.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    folders : set of Path
        Folders of which photos are held.
    stamp : str
        Of ids and codes: equal stamps, equal items.
    """

    def __init__(self, collection: Collection) -> None:
        ids: list[Id] = []
        blocks = [np.empty((0, code_width(collection.n_bits)), dtype=np.uint8)]
        folders: set[str] = set()
        columns: dict[str, _Column] = {}
        tree = _Folders()
        for batch in collection.iterate(_BATCH):
            for place, payload in enumerate(batch.payloads, start=len(ids)):
                if payload:
                    if isinstance(payload.get("folder"), str) and "path" in payload:
                        folders.add(payload["folder"])
                        tree.add(place, payload["folder"], payload["path"])
                    for key, value in payload.items():
                        if key not in _NO_FACETS:
                            columns.setdefault(key, _Column()).add(place, value, key == _DATE)
            ids.extend(batch.ids)
            blocks.append(batch.codes)
        self.ids = ids
        self.codes: CodeArray = np.concatenate(blocks)
        self.n_bits = collection.n_bits
        self.folders = {Path(folder) for folder in folders if Path(folder).is_absolute()}
        found = {key: column.values(key) for key, column in columns.items()}
        found["folder"] = tree.values()
        self._facets = {key: found[key] for key in sorted(found, key=_order) if found[key]}
        self._place_of: dict[Id, int] | None = None
        self._masks: OrderedDict[str, NDArray[np.bool_]] = OrderedDict()
        digest = hashlib.sha256(np.ascontiguousarray(self.codes).data)
        digest.update(json.dumps(ids, ensure_ascii=True).encode())
        self.stamp = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def place_of(self) -> dict[Id, int]:
        """Place of each id."""
        if self._place_of is None:
            self._place_of = {item_id: place for place, item_id in enumerate(self.ids)}
        return self._place_of

    def mask(self, collection: Collection, where: Where | None) -> NDArray[np.bool_]:
        """Return which places meet a condition, shape (n,).

        Raises
        ------
        InvalidInputError
            If the condition cannot be read.
        """
        if where is None:
            return np.ones(len(self), dtype=bool)
        name = json.dumps(where, sort_keys=True)
        known = self._masks.get(name)
        if known is not None:
            return known
        mask = np.zeros(len(self), dtype=bool)
        place_of = self.place_of
        for batch in collection.iterate(_BATCH, where):
            places = [place_of[item_id] for item_id in batch.ids if item_id in place_of]
            mask[places] = True
        self._masks[name] = mask
        while len(self._masks) > _MOST_CONDITIONS:
            self._masks.popitem(last=False)
        return mask

    def facets(self, mask: NDArray[np.bool_]) -> list[Facet]:
        """Return the facets with the counts of the places in `mask`."""
        facets = []
        for key, values in self._facets.items():
            counted = [FacetValue(v.text, int(mask[v.places].sum()), v.where) for v in values]
            if key not in _IN_ORDER:
                counted.sort(key=lambda v: -v.count)  # stable: by name where counts are equal
            facets.append(Facet(key, counted))
        return facets

    def values(self, key: str) -> tuple[list[str], NDArray[np.int32]]:
        """Return the values of a facet and, for each place, the number of its value, or -1."""
        numbers = np.full(len(self), -1, dtype=np.int32)
        values = sorted(self._facets.get(key, []), key=lambda value: -len(value.places))
        for number, value in enumerate(values):
            numbers[value.places] = number
        return [value.text for value in values], numbers

    def histogram(self, code: CodeArray, mask: NDArray[np.bool_]) -> list[int]:
        """Return how many places of `mask` are at each distance from a code, 0 to n_bits."""
        codes = self.codes if mask.all() else self.codes[mask]
        counts = np.zeros(self.n_bits + 1, dtype=np.int64)
        for start in range(0, len(codes), 1 << 16):
            differing = np.bitwise_count(codes[start : start + (1 << 16)] ^ code[None, :])
            distances = differing.sum(axis=1, dtype=np.int64)
            counts += np.bincount(distances, minlength=self.n_bits + 1)
        return [int(count) for count in counts]


@dataclass(frozen=True)
class _Value:
    """A value of a facet, and where it is."""

    text: str
    where: Where
    places: NDArray[np.int64]


class _Column:
    """Places by value, until there are too many values."""

    def __init__(self) -> None:
        self._places: dict[tuple[Any, bool], list[int]] = {}

    def add(self, place: int, value: object, date: bool) -> None:
        if len(self._places) > _MOST_VALUES:
            return
        listed = isinstance(value, list)
        for each in value if isinstance(value, list) else [value]:
            if date and isinstance(each, str):
                each = each[:4]  # by year
            if isinstance(each, str | bool | int) and not (
                isinstance(each, str) and len(each) > 80
            ):
                self._places.setdefault((each, listed), []).append(place)

    def values(self, key: str) -> list[_Value]:
        """Return the values by their text, whatever its case; none where there are too many."""
        if len(self._places) > _MOST_VALUES:
            return []
        values = [
            _Value(_text(value), _condition(key, value, listed), np.asarray(places, dtype=np.int64))
            for (value, listed), places in self._places.items()
        ]
        return sorted(values, key=lambda value: (value.text.casefold(), value.text))


class _Folders:
    """Places by folder: a photo is in the folder of its file and in all above it."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], list[int]] = {}
        self._roots: set[str] = set()

    def add(self, place: int, root: str, path: object) -> None:
        if not isinstance(path, str):
            return
        self._roots.add(root)
        end = path.find("/")
        while end > 0:
            self._places.setdefault((root, path[:end]), []).append(place)
            end = path.find("/", end + 1)

    def values(self) -> list[_Value]:
        """Return the folders; none where they say no more than the label does."""
        several = len(self._roots) > 1
        depths = [name.count("/") for _, name in self._places]
        if not several and max(depths, default=0) == 0:
            return []
        # The upper ones where all are too many.
        deepest = max(depths, default=0)
        while deepest >= 0 and sum(depth <= deepest for depth in depths) > _MOST_VALUES:
            deepest -= 1
        values = []
        for (root, name), places in self._places.items():
            if name.count("/") <= deepest:
                inside: dict[str, Any] = {"path": {"$gte": f"{name}/", "$lt": f"{name}0"}}
                text = f"{Path(root).name}/{name}" if several else name
                where = {"folder": root, **inside} if several else inside
                values.append(_Value(text, where, np.asarray(places, dtype=np.int64)))
        # As a tree is read: what is inside a folder follows it.
        return sorted(values, key=lambda value: value.text.casefold().split("/"))


def _order(key: str) -> tuple[int, str]:
    return (_FIRST.index(key) if key in _FIRST else len(_FIRST), key)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _condition(key: str, value: Any, listed: bool) -> Mapping[str, Any]:
    if listed:
        return {key: {"$contains": value}}
    if key == _DATE and isinstance(value, str) and value.isdecimal():
        return {key: {"$gte": value, "$lt": str(int(value) + 1)}}
    return {key: value}
