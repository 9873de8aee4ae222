"""Ranges out of what can only be gone through from its start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Ranged(Generic[T]):
    """Items by their place; ranges asked for one after the other cost one way through.

    Parameters
    ----------
    begin : callable
        Returns an iterator over all items.
    """

    def __init__(self, begin: Callable[[], Iterator[T]]) -> None:
        self._begin = begin
        self._at = 0
        self._items: Iterator[T] = iter(())

    def take(self, start: int, stop: int) -> list[T]:
        """Return the items `start` to `stop`; fewer where there are no more."""
        if start != self._at or start == 0:
            self._items = self._begin()
            next(islice(self._items, start, start), None)
        found = list(islice(self._items, stop - start))
        self._at = start + len(found)
        return found
