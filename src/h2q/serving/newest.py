"""The catalog of a collection that changes: what was last read of it, and when it is read again.

Whoever searches gets the last one at once. When the collection has changed, one thread reads the
next in the background, slowly, so that requests run in between. Whoever looks through the items
waits for it, where it comes soon: what was just written is there.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from h2q._closing import Closing
from h2q.collections.base import Collection
from h2q.errors import CollectionError, H2QError
from h2q.serving.catalog import Catalog
from h2q.serving.telemetry import LOGGER

#: Seconds after which one looks whether another process has changed the collection.
_LOOK: Final = 2.0
#: Seconds that a catalog is used at least, where nobody waits for the next,
_LEAST: Final = 1.0
#: and so many times as long as it took: reading one slows what else is done.
_REST: Final = 5.0
#: A catalog that took so many seconds is not waited for.
_SOON: Final = 0.5
#: Items read in one go: when nobody is served yet, and beside others, some milliseconds of work.
_AT_ONCE: Final = 20_000
_SLOWLY: Final = 200


class NewestCatalog(Closing):
    """The catalog; its methods may be called from many threads.

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
        self._first = self._threads.submit(self._read, True)
        self._current: _Read | None = None
        self._next: Future[_Read] | None = None
        self._changed = False
        self._looked = 0.0
        self._waiting = 0

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
                    self._first = self._threads.submit(self._read, True)
            raise

    def changed(self) -> None:
        """Say that items were written, so that one looks at once."""
        self._changed = True

    def last(self) -> Catalog:
        """Return the items as they were when they were last read, a second or some ago."""
        self.first()
        with self._lock:
            return self._newer(_LEAST)[0].catalog

    def get(self) -> Catalog:
        """Return the items as they are; of very many, as they were some seconds ago."""
        self.first()
        # What is being read now may have begun before the last write; what follows has not.
        for _ in range(2):
            with self._lock:
                before = self._next
                current, following = self._newer(0.0)
                if following is None or current.seconds > _SOON:
                    return current.catalog
                self._waiting += 1
            try:
                current = following.result()
            finally:
                with self._lock:
                    self._waiting -= 1
            if following is not before:
                break
        return current.catalog

    def _newer(self, least: float) -> tuple[_Read, Future[_Read] | None]:
        """Return what is there and, where that is stale and of so many seconds, what is read."""
        if self._current is None:
            self._current = self._first.result()
        if self._next is not None and self._next.done():
            done, self._next = self._next, None
            self._take(done)
        if self._next is None and self._is_stale(self._current, least):
            self._next = self._threads.submit(self._read, False)
        return self._current, self._next

    def _take(self, done: Future[_Read]) -> None:
        error = done.exception()
        if error is None:
            self._current = done.result()
            return
        self._changed = True  # the last one is what there is, until the engine is back
        if not isinstance(error, H2QError):
            raise error
        LOGGER.warning("the items could not be read again: %s", error)

    def _is_stale(self, current: _Read, least: float) -> bool:
        now = time.monotonic()
        rest = _REST * current.seconds if current.seconds > _SOON else 0.0
        if now - current.at < max(least, rest):
            return False
        if not self._changed and now - self._looked <= _LOOK:
            return False
        self._changed, self._looked = False, now
        return self._collection.revision() != current.revision

    def _read(self, first: bool) -> _Read:
        revision = self._collection.revision()  # what is written meanwhile is looked at again
        seconds, began = 0.0, time.monotonic()

        def pause() -> None:
            nonlocal seconds, began
            if self._closed.is_set():
                raise CollectionError("the server is shutting down; ask again later")
            took = time.monotonic() - began
            seconds += took
            if not first and not self._waiting:  # whoever waits is not helped by pauses
                time.sleep(took)  # a thread that waits for the interpreter runs now
            began = time.monotonic()

        catalog = Catalog(self._collection, pause, _AT_ONCE if first else _SLOWLY)
        pause()
        return _Read(catalog, revision, seconds, time.monotonic())

    def close(self) -> None:
        """Give up what is being read."""
        self._closed.set()
        self._threads.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class _Read:
    """A catalog, of which revision it is at least, seconds of work, and when it was done."""

    catalog: Catalog
    revision: str
    seconds: float
    at: float
