"""The collection in one file: every call is one snapshot or one transaction on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from h2q._typing import CodeArray, StrPath
from h2q.codes import code_width
from h2q.collections.artifacts import ArtifactFacts, Source
from h2q.collections.base import Batch, Collection, Item, NewItems, OnProgress
from h2q.collections.conditions import Node
from h2q.collections.embedded import artifacts, backup, beside, checking, items, schema, searching
from h2q.collections.embedded.connection import Mode
from h2q.collections.embedded.held_file import Guard
from h2q.collections.embedded.record_mirror import RecordMirror
from h2q.collections.embedded.session import Session
from h2q.collections.filters import compile_node
from h2q.collections.index_spec import IndexSpec
from h2q.collections.inputs import Id
from h2q.collections.neighbours import Neighbours
from h2q.collections.request import Facts
from h2q.collections.shortlists import Asked, Shortlist
from h2q.ranks import Queries, RankSpec, check_keep
from h2q.ranks.records import record_width


class EmbeddedCollection(Session):
    """A collection kept in one SQLite file; open it with `h2q.open_collection`.

    SQLite, in WAL mode, is the truth. The codes are mirrored in memory when first searched and
    brought up to date at each call, so other processes may write and read the file meanwhile: each
    call sees all that was committed before it. One writer at a time; another waits.

    Ranks that scan all codes ("hamming", "asymmetric") and "embedding" are exact; the others order
    the shortlist of the highest asymmetric scores. With index="ivf" or "hnsw", "hamming" finds most
    of the nearest, and the others order its `oversample * k` (10 by default) nearest.

    A thread-safe object: calls from several threads are done one after another.
    """

    engine_title = "a collection in a file"

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        mode: Mode,
        meta: Mapping[str, str],
        spec: IndexSpec,
        kept: Mapping[str, ArtifactFacts],
        guard: Guard,
        learner: Any = None,
    ) -> None:
        n_bits, keep = int(meta["n_bits"]), check_keep(meta["keep"])
        Session.__init__(self, connection, path, mode, n_bits, spec, guard)
        facts = Facts(
            "embedded",
            schema.version_of(keep),
            n_bits,
            keep,
            spec,
            kept,
            meta.get("created_by", "unknown"),
            meta["bit_order"],
        )
        Collection.__init__(self, str(path), mode, facts, learner)
        self._width = code_width(n_bits)
        self._records = RecordMirror(record_width(keep, n_bits))

    # Writing

    def _insert(self, new: NewItems) -> None:
        with self._transaction() as connection:
            items.insert(connection, new.ids, new.codes, new.payloads, new.records)

    def _remove(self, ids: list[Id]) -> int:
        with self._transaction() as connection:
            return items.remove(connection, ids)

    def _keep_artifact(self, name: str, source: Source) -> ArtifactFacts:
        with self._transaction() as connection:
            kept = artifacts.facts(connection)
            if name not in kept:
                artifacts.store(connection, name, source)
                kept = artifacts.facts(connection)
        return kept[name]

    # Searching

    def _search(
        self,
        queries: Queries,
        rank: RankSpec,
        k: int,
        condition: Node | None,
        oversample: int | None,
    ) -> Neighbours:
        compiled = None if condition is None else compile_node(condition)
        with self._view(compiled, alone=not rank.needs_records) as view:
            return searching.neighbours(
                view,
                queries,
                rank,
                k,
                oversample=oversample,
                records_of=partial(self._records.of, self._connection),
                keep=self.keep,
                n_bits=self.n_bits,
            )

    def _nearest(self, asked: Asked) -> Iterable[Shortlist]:
        raise NotImplementedError  # `_search` does it all

    def _within(self, codes: CodeArray, radius: int, condition: Node | None) -> Iterable[Shortlist]:
        compiled = None if condition is None else compile_node(condition)
        with self._view(compiled) as view:
            return [
                Shortlist(view.table.ids_at(hit.positions), None, None, hit.positions, hit.values)
                for hit in view.within(codes, radius)
            ]

    # Reading

    def _read(self, ids: list[Id]) -> list[Item | None]:
        with self._snapshot() as connection:
            return [items.read_item(connection, name) for name in ids]

    def _count(self, condition: Node | None) -> int:
        with self._snapshot() as connection:
            if condition is None:
                return items.read_state(connection).count
            return items.count_where(connection, compile_node(condition))

    def _scan(self, batch_size: int, condition: Node | None) -> Iterator[Batch]:
        last, compiled = 0, compile_node(condition)
        while True:
            with self._snapshot() as connection:
                found = items.read_batch(connection, last, batch_size, self._width, compiled)
            if found is None:
                return
            last, batch = found
            yield batch

    def _chunks(self, name: str) -> Iterable[bytes]:
        with self._snapshot() as connection:
            yield from artifacts.chunks(connection, name)

    def _size(self) -> int:
        files = [self._file, beside.log_of(self._file)]
        return sum(file.stat().st_size for file in files if file.exists())

    # Care

    def backup(
        self, path: StrPath, *, overwrite: bool = False, on_progress: OnProgress | None = None
    ) -> None:
        """Copy the collection, as it is now, to another file; see `Collection.backup`."""
        with self._snapshot():  # raises where the collection is closed
            pass
        backup.backup(self._file, Path(path), overwrite=overwrite, on_progress=on_progress)

    def check(self) -> None:
        """Read the whole file and raise `FormatError` where it is damaged."""
        with self._snapshot() as connection:
            record_bytes = record_width(self.keep, self.n_bits)
            checking.check(connection, self._path, self._width, record_bytes)
