"""The maps of a collection: kept, made at once, or in a process of their own."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import Future, ProcessPoolExecutor

import numpy as np
from numpy.typing import NDArray

from h2q._closing import Closing
from h2q.errors import CollectionError, InvalidInputError
from h2q.serving.catalog import Catalog
from h2q.serving.mapping import Method, coordinates, methods
from h2q.serving.side_file import SideFile
from h2q.serving.telemetry import LOGGER


class Maps(Closing):
    """The maps; its methods may be called from many threads.

    Parameters
    ----------
    side_file : SideFile
        Keeps those that are made.
    """

    def __init__(self, side_file: SideFile) -> None:
        self._side_file = side_file
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._running: dict[tuple[Method, str], Future[NDArray[np.float32]]] = {}

    def places(self, catalog: Catalog, method: Method) -> NDArray[np.float32] | None:
        """Return a place for each item, shape (n, 2); None while they are being found.

        Raises
        ------
        InvalidInputError
            If the method is not installed.
        CollectionError
            If they cannot be found; the next call tries again.
        """
        if method not in methods():
            raise InvalidInputError(
                "openTSNE is not installed; pip install 'h2q[map]', or use tsne"
            )
        kept = self._side_file.places(method, catalog.stamp)
        if kept is not None and len(kept) == len(catalog):
            return kept
        if method == "pca":
            found = coordinates(catalog.codes, catalog.n_bits, "pca")
            self._side_file.keep_places("pca", catalog.stamp, found)
            return found
        with self._lock:
            name = (method, catalog.stamp)
            running = self._running.get(name)
            if running is None:
                for older in self._running.values():
                    older.cancel()
                self._running = {}
                if self._pool is None:
                    # Another process: t-SNE holds the interpreter for long.
                    context = multiprocessing.get_context("spawn")
                    self._pool = ProcessPoolExecutor(1, mp_context=context)
                running = self._pool.submit(coordinates, catalog.codes, catalog.n_bits, method)
                self._running[name] = running
        if not running.done():
            return None
        try:
            found = running.result()
        except Exception as error:
            LOGGER.exception("the map could not be made")
            with self._lock:
                self._running.pop(name, None)
            raise CollectionError(f"the map could not be made: {error}") from error
        self._side_file.keep_places(method, catalog.stamp, found)
        return found

    def close(self) -> None:
        """Give up what is being found."""
        with self._lock:
            if self._pool is not None:
                for process in list((self._pool._processes or {}).values()):
                    process.terminate()  # what it computes saves time alone
                self._pool.shutdown(wait=True, cancel_futures=True)
