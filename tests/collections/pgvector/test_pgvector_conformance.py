"""The collection in PostgreSQL does what every collection must do."""

from __future__ import annotations

from typing import Any

import pytest

from h2q.collections import Collection, open_collection
from tests.collections.conformance import CollectionConformance
from tests.collections.pgvector.server import PostgresServer


class TestPgvector(CollectionConformance):
    @pytest.fixture
    def address(self, server: PostgresServer) -> str:
        return server.new_address()

    def open(self, address: str, **options: Any) -> Collection:
        return open_collection(address, **options)
