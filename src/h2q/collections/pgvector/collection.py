"""The collection in a PostgreSQL table: every call is one snapshot or one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from h2q._foreign import reading
from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.collections.artifacts import ArtifactFacts, Source
from h2q.collections.base import Batch, Collection, Item, NewItems
from h2q.collections.conditions import Node
from h2q.collections.inputs import Id
from h2q.collections.pgvector import artifacts, items, searching
from h2q.collections.pgvector.conditions import compile_node
from h2q.collections.pgvector.connection import Link
from h2q.collections.pgvector.tables import REMEDY
from h2q.collections.request import Facts, Mode
from h2q.collections.shortlists import Asked, Shortlist
from h2q.ranks.records import record_width


class PgvectorCollection(Collection):
    """A collection kept in PostgreSQL; open it with `h2q.open_collection`.

    Calls from several threads are done one after another. A connection lost between calls is made
    again by the next one. Without an index "hamming" and "embedding" are exact, and so is `within`
    always; the other ranks order the shortlist of the smallest Hamming distances.

    Parameters
    ----------
    link : Link
    mode : {"a", "r"}
    name : str
        Of the collection in its database.
    facts : Facts
    learner : quantizer, optional
    """

    engine_title = "a collection in PostgreSQL"

    def __init__(
        self, link: Link, mode: Mode, name: str, facts: Facts, learner: Any = None
    ) -> None:
        super().__init__(link.shown, mode, facts, learner)
        self._link = link
        self._name = name
        self._table = items.Table(name, facts.n_bits, code_width(facts.n_bits))
        self._record_width = record_width(facts.keep, facts.n_bits)

    def _is_open(self) -> bool:
        return not self._link.closed

    def _reading(self) -> AbstractContextManager[None]:
        """Say of which collection it is that another program has damaged its tables."""
        return reading(self._link.shown, "a collection of h2q", REMEDY)

    def _insert(self, new: NewItems) -> None:
        with self._link.writing() as connection:
            items.insert(connection, self._table, new.ids, new.codes, new.payloads, new.records)

    def _remove(self, ids: list[Id]) -> int:
        with self._link.writing() as connection:
            return items.remove(connection, self._table, ids)

    def _nearest(self, asked: Asked) -> Iterable[Shortlist]:
        condition = compile_node(asked.condition)
        index = self._facts.index
        plan = searching.Plan(
            index.kind == "hnsw",
            index.option("ef_search") if index.kind == "hnsw" else 0,
            asked.ties_from is not None,
        )
        width = self._record_width if asked.with_records else 0
        with self._reading():
            yield from searching.shortlists(self._link, self._table, asked, condition, plan, width)

    def _within(self, codes: CodeArray, radius: int, condition: Node | None) -> Iterable[Shortlist]:
        compiled = compile_node(condition)
        with self._reading():
            yield from searching.within(self._link, self._table, codes, radius, compiled)

    def _read(self, ids: list[Id]) -> list[Item | None]:
        with self._reading(), self._link.statements() as connection:
            return items.read_items(connection, self._table, ids)

    def _count(self, condition: Node | None) -> int:
        compiled = compile_node(condition)
        with self._link.statements() as connection:
            return items.count(connection, self._table, compiled)

    def _revision(self) -> str:
        with self._link.statements() as connection:
            return items.revision(connection, self._table)

    def _scan(self, batch_size: int, condition: Node | None) -> Iterator[Batch]:
        last, compiled = 0, compile_node(condition)
        while True:
            with self._reading(), self._link.statements() as connection:
                found = items.read_batch(connection, self._table, last, batch_size, compiled)
            if found is None:
                return
            last, batch = found
            yield batch

    def _chunks(self, name: str) -> Iterable[bytes]:
        with self._reading(), self._link.statements() as connection:
            yield from artifacts.chunks(connection, self._name, name)

    def _keep_artifact(self, name: str, source: Source) -> ArtifactFacts:
        with self._link.writing() as connection:
            items.lock(connection, self._table)
            kept = artifacts.facts(connection, self._name)
            if name not in kept:
                artifacts.store(connection, self._name, name, source)
                kept = artifacts.facts(connection, self._name)
        return kept[name]

    def _size(self) -> int:
        """Bytes of the items and their indexes."""
        with self._link.statements() as connection:
            return items.size_bytes(connection, self._table)

    def close(self) -> None:
        """Release the connection. Closing twice is harmless."""
        self._link.close()
