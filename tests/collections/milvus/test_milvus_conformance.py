"""A collection on a Milvus server does what every collection must do."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from h2q.collections import Collection, open_collection
from tests.collections.conformance import CollectionConformance
from tests.collections.milvus.server import MilvusServer

pytestmark = pytest.mark.slow


class Stock:
    """Empty collections to be used again: a server takes two seconds to load a new one.

    A used one is emptied and renamed; `conformance.py` asks most often for the same few kinds.
    """

    def __init__(self, server: MilvusServer) -> None:
        from pymilvus import MilvusClient

        self._server = server
        self._client = MilvusClient(f"http://{server.address}")
        self._free: dict[str, list[str]] = {}
        self._used: list[tuple[str, str]] = []

    def open(self, address: str, **options: Any) -> Collection:
        name, kind = address.rpartition("/")[2], repr(sorted(options.items()))
        plain = set(options) == {"n_bits"} or set(options) == {"n_bits", "keep"}
        if not plain or self._client.has_collection(name):
            return open_collection(address, **options)
        if self._free.get(kind):
            self._client.rename_collection(self._free[kind].pop(), name)
        collection = open_collection(address, **options)
        self._used.append((kind, name))
        return collection

    def take_back(self) -> None:
        for kind, name in self._used:
            self._client.delete(name, filter="seq >= 0")
            free = f"free_{uuid.uuid4().hex}"
            self._client.rename_collection(name, free)
            self._free.setdefault(kind, []).append(free)
        self._used = []


@pytest.fixture(scope="module")
def stock(server: MilvusServer) -> Stock:
    return Stock(server)


class TestMilvus(CollectionConformance):
    @pytest.fixture
    def address(self, new_address: Callable[[], str]) -> str:
        return new_address()

    @pytest.fixture(autouse=True)
    def _from_stock(self, stock: Stock) -> Iterator[None]:
        self.stock = stock
        yield
        stock.take_back()

    def open(self, address: str, **options: Any) -> Collection:
        return self.stock.open(address, **options)

    def learns(self, address: str, **options: Any) -> None:
        """What a collection is made with stands in its description, which cannot be changed."""
        del address, options
