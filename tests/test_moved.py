"""Old names of rooms still import, with a warning."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize(
    ("old", "name", "now"),
    [
        ("h2q.indexing", "index_folder", "h2q.ingest"),
        ("h2q.indexing", "load_embeddings", "h2q.rowfiles"),
        ("h2q.indexing.imports", "import_codes", "h2q.ingest"),
        ("h2q.indexing.searching", "Searcher", "h2q.searching"),
        ("h2q.interchange", "read_codes", "h2q.rowfiles"),
        ("h2q.interchange.milvus_bytes", "milvus_rows", "h2q.rowfiles.milvus_bytes"),
        ("h2q.bulk", "fit_shards", "h2q.ingest"),
    ],
)
def test_an_old_name_is_the_new_one(old: str, name: str, now: str) -> None:
    with pytest.warns(DeprecationWarning, match=now):
        found = getattr(importlib.import_module(old), name)
    assert found is getattr(importlib.import_module(now), name)


def test_what_was_never_there_is_an_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = importlib.import_module("h2q.indexing").nothing
    with pytest.raises(ImportError):
        importlib.import_module("h2q.bulk.nothing")


def test_modules_of_the_embedded_collection_that_became_one() -> None:
    from h2q.collections import embedded
    from h2q.collections.embedded import derived

    with pytest.warns(DeprecationWarning, match="code_cache is derived now"):
        assert embedded.code_cache is derived
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = embedded.nothing
