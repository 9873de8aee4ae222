"""SIGTERM: what a scheduler sends before it kills."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was asked to end, by SIGTERM; as after Ctrl-C, what was reached is kept."""


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM raise `Terminated` within the block, so that files and processes are closed.

    Only where nobody else handles the signal, and in the main thread, where Python delivers it.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    owner = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:  # a forked child that has not put its own handler in place yet
            os._exit(128 + number)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        raise Terminated("ended by SIGTERM")

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def leave_signals_to_the_parent(worker: int = 0) -> None:
    """In a child process that only reads: SIGTERM ends it, and Ctrl-C is the parent's business."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
