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
_FIRST: Final = ("label", "labels", "taken", "camera")
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
    """A payload key and its values, the most frequent first; dates in their order."""

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
        for batch in collection.iterate(_BATCH):
            for place, payload in enumerate(batch.payloads, start=len(ids)):
                if payload:
                    if isinstance(payload.get("folder"), str) and "path" in payload:
                        folders.add(payload["folder"])
                    for key, value in payload.items():
                        if key not in _NO_FACETS:
                            columns.setdefault(key, _Column()).add(place, value, key == _DATE)
            ids.extend(batch.ids)
            blocks.append(batch.codes)
        self.ids = ids
        self.codes: CodeArray = np.concatenate(blocks)
        self.n_bits = collection.n_bits
        self.folders = {Path(folder) for folder in folders if Path(folder).is_absolute()}
        self._columns = {
            key: column.frozen()
            for key, column in sorted(columns.items(), key=lambda entry: _order(entry[0]))
            if 1 <= len(column.places) <= _MOST_VALUES
        }
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
        for key, column in self._columns.items():
            values = [
                FacetValue(_text(value), int(mask[places].sum()), _condition(key, value, listed))
                for (value, listed), places in column.items()
            ]
            by_date = key == _DATE
            values.sort(key=lambda v: v.text if by_date else (-v.count, v.text))
            facets.append(Facet(key, values))
        return facets

    def values(self, key: str) -> tuple[list[str], NDArray[np.int32]]:
        """Return the values of a facet and, for each place, the number of its value, or -1."""
        numbers = np.full(len(self), -1, dtype=np.int32)
        column = self._columns.get(key, {})
        order = sorted(column.items(), key=lambda entry: (-len(entry[1]), _text(entry[0][0])))
        for number, (_, places) in enumerate(order):
            numbers[places] = number
        return [_text(value) for (value, _), _ in order], numbers

    def histogram(self, code: CodeArray, mask: NDArray[np.bool_]) -> list[int]:
        """Return how many places of `mask` are at each distance from a code, 0 to n_bits."""
        codes = self.codes if mask.all() else self.codes[mask]
        counts = np.zeros(self.n_bits + 1, dtype=np.int64)
        for start in range(0, len(codes), 1 << 16):
            differing = np.bitwise_count(codes[start : start + (1 << 16)] ^ code[None, :])
            distances = differing.sum(axis=1, dtype=np.int64)
            counts += np.bincount(distances, minlength=self.n_bits + 1)
        return [int(count) for count in counts]


class _Column:
    """Places by value, until there are too many values."""

    def __init__(self) -> None:
        self.places: dict[tuple[Any, bool], list[int]] = {}
        self.full = False

    def add(self, place: int, value: object, date: bool) -> None:
        if self.full:
            return
        listed = isinstance(value, list)
        for each in value if isinstance(value, list) else [value]:
            if date and isinstance(each, str):
                each = each[:4]  # by year
            if isinstance(each, str | bool | int) and not (
                isinstance(each, str) and len(each) > 80
            ):
                self.places.setdefault((each, listed), []).append(place)
        if len(self.places) > _MOST_VALUES:
            self.full = True

    def frozen(self) -> dict[tuple[Any, bool], NDArray[np.int64]]:
        return {value: np.asarray(places, dtype=np.int64) for value, places in self.places.items()}


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
