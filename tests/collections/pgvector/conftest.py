"""Fixtures of the tests against a real PostgreSQL server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collections.pgvector.server import PostgresServer


def new_server() -> PostgresServer:
    """A server in a folder that any user may reach (that of pytest is its owner's alone)."""
    folder = Path(tempfile.mkdtemp(prefix="h2q-pg-"))
    folder.chmod(0o755)
    return PostgresServer(folder / "server")


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A server for all tests; none of them ends it."""
    with new_server() as running:
        yield running
    running.folder.parent.rmdir()
