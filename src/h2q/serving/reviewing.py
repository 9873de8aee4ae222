"""Duplicates for review: found in the background, and the plan of what a person chose."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from h2q._closing import Closing
from h2q.collections.base import Collection, Id
from h2q.errors import H2QError, InvalidInputError
from h2q.serving.telemetry import LOGGER

if TYPE_CHECKING:  # its libraries take longer to load than the server to start
    from h2q.duplicates import DuplicateGroup, Duplicates, Member
    from h2q.duplicates.moving.plan import MovePlan


class _StoppedError(Exception):
    """The server shuts down."""


class Review(Closing):
    """The duplicates of one collection; found once for each state of it.

    Parameters
    ----------
    collection : Collection
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="h2q-duplicates")
        self._stamp = ""
        self._found: Future[Duplicates] | None = None
        self._stop = threading.Event()
        #: What is being done, how much of it is, and of how much.
        self.progress: tuple[str, int, int] = ("starting", 0, 0)

    def found(self, stamp: str) -> Duplicates | None:
        """Return the duplicates of a state of the collection; None while they are being found.

        Raises
        ------
        H2QError
            If they cannot be found; the next call tries again.
        """
        with self._lock:
            if self._found is None or self._stamp != stamp:
                if self._found is not None and not self._found.done():
                    return None  # one search at a time; the next begins when it is done
                self._stamp = stamp
                self._found = self._threads.submit(self._find)
            if not self._found.done():
                return None
            error = self._found.exception()
            if error is not None:
                self._found = None
                if not isinstance(error, H2QError):
                    LOGGER.error("duplicates could not be found", exc_info=error)
                raise error
            return self._found.result()

    def _find(self) -> Duplicates:
        def on_stage(stage: str, done: int, total: int) -> None:
            if self._stop.is_set():
                raise _StoppedError
            self.progress = (stage, done, total)

        from h2q.duplicates import find_duplicates

        return find_duplicates(self._collection, on_stage=on_stage)

    def close(self) -> None:
        """Stop looking; how photos look is kept, so the next search goes on from there."""
        self._stop.set()
        self._threads.shutdown(wait=True, cancel_futures=True)


def chosen_plan(found: Duplicates, chosen: Sequence[tuple[Id, Sequence[Id]]]) -> MovePlan:
    """Return the plan of what was chosen: of each pair, the photo to keep and those to move.

    Raises
    ------
    InvalidInputError
        If a photo to move is not known to show the picture of the one to keep, is kept for
        another, or cannot be verified.
    """
    from h2q.duplicates.moving.plan import plan_of

    groups = [group for group in found.groups if group.level != "related"]
    kept = {keep for keep, _ in chosen}
    pairs = []
    for keep, moves in chosen:
        for move in moves:
            if move in kept:
                raise InvalidInputError(f"{move!r} is to be kept and to be moved; choose one")
            pairs.append(_pair(groups, keep, move))
    if len({spare.id for _, spare, _ in pairs}) < len(pairs):
        raise InvalidInputError("a photo is to be moved twice; name it once")
    return plan_of(found.uri, pairs)


def _pair(groups: Sequence[DuplicateGroup], keep: Id, move: Id) -> tuple[Member, Member, str]:
    for group in groups:
        members: Mapping[Id, Member] = {member.id: member for member in group.members}
        if keep in members and move in members and keep != move:
            if members[move].photo is None or members[keep].photo is None:
                raise InvalidInputError(f"{move!r} cannot be verified: no photo of it is at hand")
            first = group.members[0].id == keep
            return members[keep], members[move], group.why if first else "chosen by a person"
    raise InvalidInputError(
        f"{move!r} is not known to show the same picture as {keep!r}; only photos of a group of "
        'level "same" or "close" can be moved'
    )
