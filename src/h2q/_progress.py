"""Who is told how far a work is: nobody, a log that gets a line now and then, or a caller."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

#: Told how many items are done, and of how many.
OnProgress: TypeAlias = Callable[[int, int], None]

#: Seconds until the first line of progress in a log, and between lines at most.
_FIRST_LINE = 10.0
_LONGEST_PAUSE = 60.0
#: Seconds between looks whether a line is due though nothing was told.
_LOOK = 2.0


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""


def say_on_stderr(text: str) -> None:
    """Write a line for a log, at once."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def in_lines(
    description: str, say: Callable[[str], None] = say_on_stderr
) -> Iterator[LinesOfProgress]:
    """Tell a log how far a work is: a line after ten seconds, then more rarely, up to a minute.

    A line comes when it is due, also where a single item takes long.

    Parameters
    ----------
    description : str
    say : callable
        Writes a line.

    Yields
    ------
    LinesOfProgress
        To be told how many items are done, and of how many.
    """
    lines = LinesOfProgress(description, say)
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(_LOOK):
            lines.again()

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield lines
    finally:
        ended.set()
        teller.join()


class LinesOfProgress:
    """How far a work is, in lines (`in_lines`)."""

    def __init__(self, description: str, say: Callable[[str], None]) -> None:
        self.description, self._say_line, self._began = description, say, time.monotonic()
        self._pause, self._next = _FIRST_LINE, self._began + _FIRST_LINE
        self._done = self._total = 0
        self._lock = threading.Lock()

    def __call__(self, done: int, total: int) -> None:
        """Take in how far it is."""
        with self._lock:
            now = time.monotonic()
            if done < self._done:  # another stage has begun
                self._began, self._pause, self._next = now, _FIRST_LINE, now + _FIRST_LINE
            self._done, self._total = done, total
            if total:
                self._say(now)

    def again(self) -> None:
        """Say where it stands if a line is due."""
        with self._lock:
            self._say(time.monotonic())

    def _say(self, now: float) -> None:
        if now < self._next:
            return
        done, total, passed = self._done, self._total, now - self._began
        left = ""
        if 0 < done < total:
            left = f", about {_span(passed / done * (total - done))} to go"
        how_far = f"{done:,} of {total:,}" if total else "at work"
        self._say_line(f"{self.description}: {how_far} after {_span(passed)}{left}")
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._next = now + self._pause


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
