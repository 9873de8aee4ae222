"""Python's collector of garbage, held back while much that is no garbage is made."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Make no search for cycles meanwhile: hundreds of thousands of tuples have none.

    Each search would look at all of them again. Threads may be in here at once: whoever found the
    collector at work sets it to work again.
    """
    was_at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_at_work:
            gc.enable()
