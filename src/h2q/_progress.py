"""Who is told how far a work is, and the one who need not be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

#: Told how many items are done, and of how many.
OnProgress: TypeAlias = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Tell nobody."""
