from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collections.milvus.server import MilvusServer, started_or_skipped


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the server's program is unpacked: once, which takes some ten seconds."""
    folder = tmp_path_factory.mktemp("milvus-program")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Iterator[MilvusServer]:
    """One server for all tests that do no harm to it."""
    server = started_or_skipped(tmp_path_factory.mktemp("milvus"), program)
    with server.running():
        yield server


@pytest.fixture
def new_address(server: MilvusServer) -> Callable[[], str]:
    """Makes addresses of collections that do not exist."""
    return lambda: f"milvus://{server.address}/t_{uuid.uuid4().hex}"


@pytest.fixture
def address(new_address: Callable[[], str]) -> str:
    return new_address()
