"""A fourth engine, a dict in memory: nothing but the primitives, to show what an engine must do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from h2q.codes import code_width
from h2q.collections import (
    Asked,
    Batch,
    Collection,
    Facts,
    Id,
    IndexSpec,
    Item,
    NewItems,
    OpenRequest,
    Shortlist,
)
from h2q.collections.artifacts import ArtifactFacts, Source, fingerprint, opened
from h2q.collections.conditions import Node, holds
from h2q.errors import CollectionError

#: What "is on the disk", by address.
STORES: dict[str, dict[str, Any]] = {}


def open_dict(uri: str, request: OpenRequest) -> DictCollection:
    if uri not in STORES:
        n_bits = request.to_make(uri)
        request.new_index("dict")
        kept = {name: _whole(source) for name, source in request.sources.items()}
        STORES[uri] = {"n_bits": n_bits, "keep": request.keep or "codes", "artifacts": kept,
                       "items": {}, "age": 0}  # fmt: skip
    store = STORES[uri]
    facts = Facts("dict", 1, store["n_bits"], store["keep"], artifacts=_facts(store))
    request.check_fit(uri, n_bits=facts.n_bits, keep=facts.keep, artifacts=facts.artifacts)
    request.reopened_index("dict", uri, IndexSpec())
    return DictCollection(uri, request.mode, facts, request.learner, store=store)


def _whole(source: Source) -> bytes:
    with opened(source) as file:
        return file.read()


def _facts(store: dict[str, Any]) -> dict[str, ArtifactFacts]:
    import hashlib

    return {
        name: ArtifactFacts(fingerprint(data), hashlib.sha256(data).hexdigest())
        for name, data in store["artifacts"].items()
    }


class DictCollection(Collection):
    engine_title = "a collection in a dict"

    def __init__(self, *given: Any, store: dict[str, Any]) -> None:
        super().__init__(*given)
        self._given: dict[str, Any] | None = store

    @property
    def _store(self) -> dict[str, Any]:
        if self._given is None:
            raise CollectionError(f"{self.uri}: the collection is closed; open it again")
        return self._given

    def _insert(self, items: NewItems) -> None:
        held = self._store["items"]
        for i, item_id in enumerate(items.ids):
            held.pop(item_id, None)
            self._store["age"] += 1
            record = None if items.records is None else items.records[i]
            held[item_id] = (self._store["age"], items.codes[i], items.payloads[i], record)

    def _remove(self, ids: list[Id]) -> int:
        return sum(self._store["items"].pop(item_id, None) is not None for item_id in ids)

    def _meeting(self, condition: Node | None) -> dict[Id, Any]:
        items = self._store["items"]
        if condition is None:
            return dict(items)
        return {i: row for i, row in items.items() if holds(condition, json.loads(row[2] or "{}"))}

    def _all(self, condition: Node | None) -> Shortlist:
        rows = self._meeting(condition)
        codes = [row[1] for row in rows.values()]
        records = [row[3] for row in rows.values() if row[3] is not None]
        return Shortlist(
            list(rows),
            np.array(codes, np.uint8).reshape(-1, code_width(self.n_bits)),
            np.array(records, np.uint8).reshape(len(rows), -1) if records else None,
            np.array([row[0] for row in rows.values()], np.int64),
        )

    def _nearest(self, asked: Asked) -> Iterable[Shortlist]:
        return [self._all(asked.condition)] * len(asked.codes)  # the base ranks them

    def _within(self, codes: Any, radius: int, condition: Node | None) -> Iterable[Shortlist]:
        found = self._all(condition)
        for code in codes:
            distances = np.bitwise_count(found.codes ^ code).sum(axis=1, dtype=np.int32)
            near = np.flatnonzero(distances <= radius)
            ids = [found.ids[i] for i in near.tolist()]
            yield Shortlist(ids, None, None, found.ages[near], distances[near])

    def _read(self, ids: list[Id]) -> list[Item | None]:
        items = self._store["items"]
        return [
            Item(i, items[i][1], json.loads(items[i][2] or "null")) if i in items else None
            for i in ids
        ]

    def _count(self, condition: Node | None) -> int:
        return len(self._meeting(condition))

    def _scan(self, batch_size: int, condition: Node | None) -> Iterator[Batch]:
        rows = list(self._meeting(condition).items())
        for start in range(0, len(rows), batch_size):
            ids, values = zip(*rows[start : start + batch_size], strict=True)
            payloads = [json.loads(row[2] or "null") for row in values]
            yield Batch(list(ids), np.stack([row[1] for row in values]), payloads)

    def _chunks(self, name: str) -> Iterable[bytes]:
        return [self._store["artifacts"][name]]

    def _keep_artifact(self, name: str, source: Source) -> ArtifactFacts:
        self._store["artifacts"].setdefault(name, _whole(source))
        return _facts(self._store)[name]

    def _size(self) -> int:
        return sum(len(row[1]) + len(row[2] or "") for row in self._store["items"].values())

    def close(self) -> None:
        self._given = None
