"""One process that forks the guarded children, for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.guarded import Guard
from tests.fuzz.readers import READERS


@pytest.fixture(scope="session")
def guard() -> Iterator[Guard]:
    with Guard(list(READERS)) as guard:
        yield guard
