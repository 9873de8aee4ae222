"""The command line, run in this process."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Run, h2q
from tests.ingest.conftest import shards

__all__ = ["h2q", "shards"]


@pytest.fixture(name="run")
def _run(h2q: Any) -> Run:  # h2q is the package in these tests
    command: Run = h2q
    return command
