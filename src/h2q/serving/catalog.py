"""A collection as the page walks through it: items by place, facets with counts, conditions.

A catalog is an immutable picture of the ids, codes and groupable payload values of all items, in
the order of adding. It is read in one pass and read again when the collection has changed: at once
where that is fast, in the background where it is not.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from h2q._closing import Closing
from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.collections.base import Collection, Id, Where
from h2q.errors import CollectionError, H2QError
from h2q.serving.facets import Column, Facets, FolderTree

_BATCH: Final = 20_000
_MOST_CONDITIONS: Final = 64
#: Seconds after which one looks whether another process has changed the collection.
_LOOK: Final = 2.0
#: A catalog that took so many seconds is made anew while the old one is used,
_AT_ONCE: Final = 0.3
#: and then no sooner than after so many times as long: making one slows what else is done.
_REST: Final = 5.0


class Catalog:
    """All items of a collection by place.

    Parameters
    ----------
    collection : Collection
    given_up : callable
        Asked now and then; once it is true nobody wants the catalog any more.

    Attributes
    ----------
    ids : list of str or int
        The oldest first; `ids[place]`.
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    folders : set of Path
        Folders of which photos are held.
    facets : Facets
    stamp : str
        Of ids and codes: equal stamps, equal items.
    """

    def __init__(
        self, collection: Collection, given_up: Callable[[], bool] = lambda: False
    ) -> None:
        ids: list[Id] = []
        blocks = [np.empty((0, code_width(collection.n_bits)), dtype=np.uint8)]
        folders: set[str] = set()
        columns: dict[str, Column] = {}
        tree = FolderTree()
        for batch in collection.iterate(_BATCH):
            if given_up():
                raise CollectionError("the server is shutting down; ask again later")
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
            ids.extend(batch.ids)
            blocks.append(batch.codes)
        self.ids = ids
        self.codes: CodeArray = np.concatenate(blocks)
        self.n_bits = collection.n_bits
        self.folders = {Path(folder) for folder in folders if Path(folder).is_absolute()}
        self.facets = Facets(columns, tree)
        self._place_of: dict[Id, int] | None = None
        self._masks: OrderedDict[str, NDArray[np.bool_]] = OrderedDict()
        self._words = _words(self.codes)
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


class NewestCatalog(Closing):
    """The catalog of a collection that changes; its methods may be called from many threads.

    Parameters
    ----------
    collection : Collection
        Read at once, in the background.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="h2q-catalog")
        self._first = self._threads.submit(self._made)
        self._current: _Made | None = None
        self._next: Future[_Made] | None = None
        self._changed = False
        self._looked = 0.0

    @property
    def is_there(self) -> bool:
        """Whether all items have been looked at once."""
        return self._first.done() and self._first.exception() is None

    def first(self) -> Catalog:
        """Return the catalog of the start; wait for it."""
        first = self._first
        try:
            return first.result().catalog
        except H2QError:
            with self._lock:
                if self._first is first:  # whoever asks next finds the engine back, perhaps
                    self._first = self._threads.submit(self._made)
            raise

    def changed(self) -> None:
        """Say that items were written, so that one looks at once."""
        self._changed = True

    def get(self) -> Catalog:
        """Return the items as they are; of very many, as they were some seconds ago."""
        self.first()
        with self._lock:
            if self._current is None:
                self._current = self._first.result()
            if self._next is not None:
                if not self._next.done():
                    return self._current.catalog
                made, self._next = self._next, None
                self._current = made.result()
            if self._is_stale(self._current):
                if self._current.seconds > _AT_ONCE:
                    self._next = self._threads.submit(self._made)
                else:
                    self._current = self._made()
            return self._current.catalog

    def _is_stale(self, made: _Made) -> bool:
        now = time.monotonic()
        if made.seconds > _AT_ONCE and now - made.at < _REST * made.seconds:
            return False
        if not self._changed and now - self._looked <= _LOOK:
            return False
        self._changed, self._looked = False, now
        return self._collection.revision() != made.revision

    def _made(self) -> _Made:
        began = time.monotonic()
        revision = self._collection.revision()  # what is written meanwhile is looked at again
        catalog = Catalog(self._collection, self._closed.is_set)
        now = time.monotonic()
        return _Made(catalog, revision, now - began, now)

    def close(self) -> None:
        """Give up what is being made."""
        self._closed.set()
        self._threads.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class _Made:
    """A catalog, of which revision it is at least, how long it took, when it was done."""

    catalog: Catalog
    revision: str
    seconds: float
    at: float


def _words(codes: CodeArray) -> NDArray[np.uint64]:
    """Return codes as whole words, shape (n, ceil(width / 8)): fewer are compared faster."""
    width = codes.shape[1]
    padded = codes
    if width % 8:
        padded = np.zeros((len(codes), width + -width % 8), dtype=np.uint8)
        padded[:, :width] = codes
    return np.ascontiguousarray(padded).view(np.uint64)
