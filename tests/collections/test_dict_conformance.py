"""An engine that supplies nothing but the primitives does what every collection must do."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from h2q.collections import Collection, open_collection, register_engine
from h2q.errors import CollectionError
from tests.collections.conformance import CollectionConformance


class TestDict(CollectionConformance):
    @pytest.fixture(autouse=True)
    def _registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from h2q.collections import uri

        monkeypatch.setattr(uri, "_ENGINES", dict(uri._ENGINES))
        register_engine("dict", "tests.collections.dict_engine:open_dict")

    @pytest.fixture
    def address(self) -> str:
        return f"dict://{uuid.uuid4().hex}"

    def open(self, address: str, **options: Any) -> Collection:
        return open_collection(address, **options)

    def test_what_the_engine_has_not_says_so(self, empty, tmp_path):
        for call in (lambda: empty.backup(tmp_path / "copy"), empty.compact, empty.check):
            with pytest.raises(CollectionError, match="a collection in a dict has no"):
                call()
        empty.optimize()
