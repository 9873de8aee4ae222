"""Photos asked about at the same time are embedded in one batch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from h2q._closing import Closing
from h2q.errors import CollectionError

A = TypeVar("A")
B = TypeVar("B")

_MOST: Final = 32
#: Seconds an idle worker waits before it looks whether it should end.
_IDLE: Final = 0.5


class Batcher(Closing, Generic[A, B]):
    """Calls a function on what several threads hand in, together.

    While a batch is being worked on, what comes in waits and forms the next: a lone call waits for
    nobody, and many are done as fast as batches are.

    Parameters
    ----------
    function : callable
        Takes a list, returns as many results; called from one thread.
    on_batch : callable
        Told the size of each batch.
    """

    def __init__(
        self,
        function: Callable[[list[A]], Sequence[B]],
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._function, self._on_batch = function, on_batch
        self._waiting: queue.SimpleQueue[tuple[A, Future[B]]] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="h2q-batches", daemon=True)
        self._thread.start()

    def __call__(self, value: A) -> B:
        """Return the function's result for one value; wait for it.

        Raises
        ------
        CollectionError
            If the server is shutting down.
        """
        if self._closed.is_set():
            raise CollectionError("the server is shutting down; ask again later")
        future: Future[B] = Future()
        self._waiting.put((value, future))
        return future.result()

    def _work(self) -> None:
        while True:
            try:
                batch = [self._waiting.get(timeout=_IDLE)]
            except queue.Empty:
                if self._closed.is_set():
                    return
                continue
            while len(batch) < _MOST:
                try:
                    batch.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            self._on_batch(len(batch))
            try:
                results = list(self._function([value for value, _ in batch]))
            except BaseException as error:  # each of the callers gets it
                for _, future in batch:
                    future.set_exception(error)
                continue
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)

    def close(self) -> None:
        """Finish what waits, then end."""
        self._closed.set()
        self._thread.join()
