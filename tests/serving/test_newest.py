"""What is shown of a collection while it is written."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from h2q.collections import Collection
from h2q.serving.catalog import Catalog
from h2q.serving.newest import NewestCatalog

_CODE = np.zeros((1, 3), dtype=np.uint8)


class Slow:
    """Lets the reading of a collection go on when it is told to, and counts it."""

    def __init__(self, collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.going_on, self.times = threading.Event(), threading.Event(), 0
        self._iterate = collection.iterate
        monkeypatch.setattr(collection, "iterate", self)

    def __call__(self, *given: Any) -> Iterator[Any]:
        self.times += 1
        batches = list(self._iterate(*given))
        self.begun.set()
        assert self.going_on.wait(20)
        return iter(batches)


@pytest.fixture
def newest(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewestCatalog]:
    monkeypatch.setattr("h2q.serving.newest._LEAST", 0.0)
    with NewestCatalog(collection) as catalogs:
        assert len(catalogs.first()) == 12
        yield catalogs


def _written(collection: Collection, newest: NewestCatalog, item_id: str) -> None:
    collection.add([item_id], _CODE)
    newest.changed()


def test_a_search_has_the_last_one_at_once_while_one_thread_reads_the_next(
    collection: Collection, newest: NewestCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(collection, monkeypatch)
    _written(collection, newest, "new")
    assert [len(newest.last()) for _ in range(5)] == [12] * 5
    assert slow.begun.wait(20)
    _written(collection, newest, "newer")
    assert len(newest.last()) == 12
    assert slow.times == 1
    slow.going_on.set()
    deadline = time.monotonic() + 20
    while len(newest.last()) < 14 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(newest.last()) == 14


def test_whoever_looks_through_the_items_finds_what_was_written_while_they_were_read(
    collection: Collection, newest: NewestCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(collection, monkeypatch)
    _written(collection, newest, "new")
    newest.last()
    assert slow.begun.wait(20)
    _written(collection, newest, "newer")  # after all was read, before it is shown
    with ThreadPoolExecutor(3) as threads:
        found = [threads.submit(newest.get) for _ in range(3)]
        time.sleep(0.05)
        slow.going_on.set()
        assert [len(each.result(20)) for each in found] == [14] * 3
    assert slow.times == 2


def test_a_catalog_that_takes_long_is_not_waited_for(
    collection: Collection, newest: NewestCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("h2q.serving.newest._SOON", 0.0)
    monkeypatch.setattr("h2q.serving.newest._REST", 0.0)
    slow = Slow(collection, monkeypatch)
    _written(collection, newest, "new")
    assert len(newest.get()) == 12
    assert slow.begun.wait(20)
    assert len(newest.get()) == 12
    slow.going_on.set()
    deadline = time.monotonic() + 20
    while len(newest.get()) == 12 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(newest.get()) == 13


def test_it_is_read_again_no_sooner_than_after_a_while_unless_somebody_waits(
    collection: Collection, newest: NewestCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("h2q.serving.newest._LEAST", 3600.0)
    slow = Slow(collection, monkeypatch)
    slow.going_on.set()
    _written(collection, newest, "new")
    assert len(newest.last()) == 12
    assert slow.times == 0
    assert len(newest.get()) == 13
    assert len(newest.last()) == 13


def test_an_item_replaced_while_it_is_read_is_there_once(collection: Collection) -> None:
    stretches = []

    def replace_one() -> None:
        stretches.append(0)
        if len(stretches) == 2:
            collection.add([first], ~_CODE, [{"label": "birds"}])

    first = next(collection.iterate(1)).ids[0]
    catalog = Catalog(collection, replace_one, 3)
    assert len(catalog) == len(set(catalog.ids)) == 12
    assert catalog.ids[-1] == first
    assert catalog.codes[-1].tolist() == [255] * 3
    assert {item_id: place for place, item_id in enumerate(catalog.ids)} == catalog.place_of
    for facet in catalog.facets.counted(np.ones(12, dtype=bool)):
        for value in facet.values:
            mask = catalog.mask(collection, value.where)
            assert value.count == mask.sum(), value
    assert catalog.stamp == Catalog(collection).stamp


def test_its_stamp_does_not_depend_on_how_it_is_read(collection: Collection) -> None:
    assert len({Catalog(collection, stretch=n).stamp for n in (1, 5, 12, 1000)}) == 1
