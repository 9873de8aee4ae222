"""A collection as the page walks through it: items by place, facets with counts, conditions.

A catalog is an immutable picture of the ids, codes and groupable payload values of all items, in
the order of adding, read in one pass.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.collections.base import Collection, Id, Where
from h2q.serving.facets import Column, Facets, FolderTree

_BATCH: Final = 20_000
_MOST_CONDITIONS: Final = 64


class Catalog:
    """All items of a collection by place.

    Parameters
    ----------
    collection : Collection
    pause : callable
        Called between stretches of the work, that others may run; what it raises ends it.
    stretch : int
        Items between two pauses.

    Attributes
    ----------
    ids : list of str or int
        The oldest first; `ids[place]`.
    place_of : dict of id to int
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    folders : set of Path
        Folders of which photos are held.
    facets : Facets
    stamp : str
        Of ids and codes: equal stamps, equal items.
    """

    def __init__(
        self,
        collection: Collection,
        pause: Callable[[], None] = lambda: None,
        stretch: int = _BATCH,
    ) -> None:
        ids: list[Id] = []
        place_of: dict[Id, int] = {}
        blocks = [np.empty((0, code_width(collection.n_bits)), dtype=np.uint8)]
        folders: set[str] = set()
        columns: dict[str, Column] = {}
        tree = FolderTree()
        for batch in collection.iterate(stretch):
            for place, payload in enumerate(batch.payloads, start=len(ids)):
                if payload:
                    if isinstance(payload.get("folder"), str) and "path" in payload:
                        folders.add(payload["folder"])
                        tree.add(place, payload["folder"], payload["path"])
                    for key, value in payload.items():
                        column = columns.get(key)
                        if column is None and Column.is_made_of(key):
                            column = columns[key] = Column(key)
                        if column is not None:
                            column.add(place, value)
            place_of.update(zip(batch.ids, range(len(ids), len(ids) + len(batch.ids)), strict=True))
            ids.extend(batch.ids)
            blocks.append(batch.codes)
            pause()
        codes = np.concatenate(blocks)
        newest: NDArray[np.int64] | None = None
        if len(place_of) < len(ids):
            # Replaced while all was read, and so met twice: the later one counts.
            newest = np.full(len(ids), -1, dtype=np.int64)
            kept = np.sort(np.fromiter(place_of.values(), np.int64, len(place_of)))
            newest[kept] = np.arange(len(kept))
            ids, codes = [ids[place] for place in kept], codes[kept]
            place_of = {item_id: place for place, item_id in enumerate(ids)}
        self.ids, self.place_of = ids, place_of
        self.codes: CodeArray = codes
        self.n_bits = collection.n_bits
        self.folders = {Path(folder) for folder in folders if Path(folder).is_absolute()}
        self.facets = Facets(columns, tree, newest, pause)
        self._masks: OrderedDict[str, NDArray[np.bool_]] = OrderedDict()
        self._words = _words(self.codes)
        digest = hashlib.sha256(np.ascontiguousarray(self.codes).data)
        digest.update(b"[")
        for start in range(0, len(ids), stretch):
            part = json.dumps(ids[start : start + stretch], ensure_ascii=True)[1:-1]
            digest.update((part if start == 0 else f", {part}").encode())
            pause()
        digest.update(b"]")
        self.stamp = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

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

    def histogram(self, code: CodeArray, mask: NDArray[np.bool_]) -> list[int]:
        """Return how many places of `mask` are at each distance from a code, 0 to n_bits."""
        words = self._words if mask.all() else self._words[mask]
        (asked,) = _words(code[None, :])
        counts = np.zeros(self.n_bits + 1, dtype=np.int64)
        for start in range(0, len(words), 1 << 15):
            differing = np.bitwise_count(words[start : start + (1 << 15)] ^ asked)
            distances = differing[:, 0]
            if differing.shape[1] > 1:
                distances = differing.sum(axis=1, dtype=np.int64)
            counts += np.bincount(distances, minlength=self.n_bits + 1)
        return [int(count) for count in counts]


def _words(codes: CodeArray) -> NDArray[np.uint64]:
    """Return codes as whole words, shape (n, ceil(width / 8)): fewer are compared faster."""
    width = codes.shape[1]
    padded = codes
    if width % 8:
        padded = np.zeros((len(codes), width + -width % 8), dtype=np.uint8)
        padded[:, :width] = codes
    return np.ascontiguousarray(padded).view(np.uint64)
