"""Locks between processes that go when their holder dies, however it dies."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# POSIX record locks belong to the process: unlike flock's, forked children (which read images,
# and outlive a killed parent by seconds) do not keep them. But a process never blocks itself,
# and closing any handle of the file lets its lock go: so what this process holds is noted here.
_ours: set[Path] = set()
_guard = threading.Lock()


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold the lock at `path`; yields False where another process or thread holds it."""
    place = path.resolve()
    with _guard:
        if place in _ours:
            taken = False
        else:
            _ours.add(place)
            taken = True
    if not taken:
        yield False
        return
    try:
        with place.open("a") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # EACCES or EAGAIN: another process has it
                yield False
                return
            yield True
    finally:
        with _guard:
            _ours.discard(place)


def is_held(path: Path) -> bool:
    """Whether any process holds the lock at `path`."""
    with _guard:
        if path.resolve() in _ours:
            return True
    with held(path) as free:
        return not free
