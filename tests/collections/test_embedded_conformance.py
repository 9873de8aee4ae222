"""The embedded collection does what every collection must do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from h2q.collections import Collection, open_collection
from h2q.collections.embedded import scans
from tests.collections.conformance import CollectionConformance


class TestEmbedded(CollectionConformance):
    @pytest.fixture
    def address(self, tmp_path: Path) -> str:
        return str(tmp_path / "photos.h2q")

    def open(self, address: str, **options: Any) -> Collection:
        return open_collection(address, **options)


class TestEmbeddedWithFastScan(TestEmbedded):
    """The same with so few items that only the FastScan's threshold keeps them from it."""

    @pytest.fixture(autouse=True)
    def _always_fast_scan(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scans, "_LEAST_SCANNED", 40)
        monkeypatch.setattr(scans, "_LONGEST_SHARE", 2.0)
