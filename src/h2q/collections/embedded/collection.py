"""The collection in one file: every call is one snapshot or one transaction on it."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from h2q._paths import as_path
from h2q._progress import OnProgress
from h2q._typing import CodeArray, StrPath
from h2q.codes import code_width
from h2q.collections.artifacts import ArtifactFacts, Source
from h2q.collections.base import Batch, Collection, Item, NewItems, Texts
from h2q.collections.conditions import Node
from h2q.collections.embedded import (
    artifacts,
    backup,
    beside,
    checking,
    items,
    schema,
)
from h2q.collections.embedded.cells import CellIndex
from h2q.collections.embedded.connection import Connection, reading, writing
from h2q.collections.embedded.faults import reported
from h2q.collections.embedded.held_file import Guard
from h2q.collections.embedded.indexes import RowIndex
from h2q.collections.embedded.mirror import Mirror, Version
from h2q.collections.embedded.readers import Readers
from h2q.collections.embedded.searching import View
from h2q.collections.filters import Condition, compile_node
from h2q.collections.index_spec import IndexSpec
from h2q.collections.inputs import Id
from h2q.collections.neighbours import Neighbours
from h2q.collections.request import Facts, Mode
from h2q.collections.shortlists import Asked, Shortlist
from h2q.errors import CollectionError
from h2q.ranks import Queries, RankSpec, Scorer, check_keep, shortlist_rank
from h2q.ranks.records import record_width

#: Of the items: the files beside the collection are written anew after a search, or when it is
#: closed, once more than this share is not in them.
_LAG_SEARCHING: Final = 1 / 4
_LAG_CLOSING: Final = 1 / 16

#: Opens the file of a collection again: a connection and what guards it.
Reopen = Callable[[], tuple[Connection, Guard]]


class EmbeddedCollection(Collection):
    """A collection kept in one SQLite file; open it with `h2q.open_collection`.

    SQLite, in WAL mode, is the truth. The codes are mirrored in memory when first searched and
    brought up to date at each call, so other processes may write and read the file meanwhile: each
    call sees all that was committed before it. One writer at a time; another waits.

    Any number of threads may use one object. Their searches run side by side: each has a view of
    one moment that never changes, and what is written meanwhile makes the next one. A process that
    is forked off opens the file anew at its first call, as long as its parent has it open.

    Ranks that scan all codes ("hamming", "asymmetric") and "embedding" are exact; the others order
    the shortlist of the highest asymmetric scores. With index="ivf" or "hnsw", "hamming" finds most
    of the nearest, and the others order its `oversample * k` (10 by default) nearest. With
    index="ivf_asymmetric" the rank of real queries finds most of the highest scores.

    Parameters
    ----------
    connection : sqlite3.Connection
        Of the file, for all that writes (with mode="r", for everything).
    path : path
        As it was given; what lies beside the file goes by `guard.path`.
    mode : {"a", "r"}
    meta : mapping
        What the file states.
    spec : IndexSpec
        The index that finds items.
    kept : mapping
        The artifacts.
    guard : Guard
        Of the file; released with the collection.
    reopen : callable
    learner : quantizer, optional
    """

    engine_title = "a collection in a file"

    def __init__(
        self,
        connection: Connection,
        path: Path,
        mode: Mode,
        meta: Mapping[str, str],
        spec: IndexSpec,
        kept: Mapping[str, ArtifactFacts],
        guard: Guard,
        reopen: Reopen,
        learner: Any = None,
    ) -> None:
        n_bits, keep = int(meta["n_bits"]), check_keep(meta["keep"])
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
        super().__init__(str(path), mode, facts, learner)
        self._width = code_width(n_bits)
        self._record_width = record_width(keep, n_bits)
        self._path, self._file = path, guard.path
        self._reopen = reopen
        self._closed = False
        self._begin(connection, guard)
        _OPEN.add(self)

    def _begin(self, connection: Connection, guard: Guard) -> None:
        self._connection, self._guard = connection, guard
        spec = self._facts.index
        # An index is only made where it can be kept for the next time.
        index: RowIndex | CellIndex | None = None
        if spec.kind == "ivf_asymmetric":
            index = CellIndex(spec, self._mode == "a", _scorer_of(weakref.ref(self)))
        elif spec.kind != "flat":
            index = RowIndex(spec, may_build=self._mode == "a")
        self._mirror = Mirror(self._file, self._width, self._record_width, index)
        self._renew_locks()
        self._readers = Readers(self._file, guard)
        self._forked = False
        # An object that nobody closed gives its file back all the same.
        self._end = weakref.finalize(self, self._readers.close)

    def _renew_locks(self) -> None:
        #: Of the connection that writes.
        self._lock = threading.RLock()
        #: Of the mirror, and of the connection that watches the file for it.
        self._watch_lock = threading.RLock() if self._mode == "a" else self._lock

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
        with reported(self._path):
            view = self._view(compiled, rank.needs_records)
            found = view.search(
                queries, rank, k, oversample=oversample, keep=self.keep, n_bits=self.n_bits
            )
            self._save_if_due()
        return found

    def _nearest(self, asked: Asked) -> Iterable[Shortlist]:
        compiled = None if asked.condition is None else compile_node(asked.condition)
        with reported(self._path):
            view = self._view(compiled, asked.with_records)
            hits = view.nearest(asked.codes, asked.size)
        for hit in hits:
            records = None
            if view.records is not None:
                records = view.records.of(view.table.rows[hit.positions])
            ids, codes = view.table.ids_at(hit.positions), view.table.codes[hit.positions]
            yield Shortlist(ids, codes, records, hit.positions, hit.values)

    def _within(self, codes: CodeArray, radius: int, condition: Node | None) -> Iterable[Shortlist]:
        compiled = None if condition is None else compile_node(condition)
        with reported(self._path):
            view = self._view(compiled)
            hits = view.within(codes, radius)
            self._save_if_due()
        return [
            Shortlist(view.table.ids_at(hit.positions), None, None, hit.positions, hit.values)
            for hit in hits
        ]

    def _view(self, condition: Condition | None, with_records: bool = False) -> View:
        """Return the newest state, to be searched without any lock."""
        self._check()
        view = self._mirror.unchanged(self._version(), condition, with_records)
        if view is not None:
            return view
        with self._borrowed() as connection, ExitStack() as snapshot:
            with self._watch_lock:
                version = self._version()
                snapshot.enter_context(reading(connection))
                view = self._mirror.whole(connection, version, with_records)
            if condition is not None:
                view = self._mirror.matching(connection, condition, view)
        return view

    # Reading

    def _read(self, ids: list[Id]) -> list[Item | None]:
        with self._snapshot() as connection:
            return [items.read_item(connection, name) for name in ids]

    def _count(self, condition: Node | None) -> int:
        with self._snapshot() as connection:
            if condition is None:
                return items.read_state(connection).count
            return items.count_where(connection, compile_node(condition))

    def _revision(self) -> str:
        with self._snapshot() as connection:
            state = items.read_state(connection)
        return f"{state.last_row}-{state.removed}"

    def _scan(self, batch_size: int, condition: Node | None) -> Iterator[Batch]:
        last, compiled = 0, compile_node(condition)
        while True:
            with self._snapshot() as connection:
                found = items.read_batch(connection, last, batch_size, self._width, compiled)
            if found is None:
                return
            last, batch = found
            yield batch

    def _scan_texts(self, condition: Node | None) -> Iterator[Texts]:
        last, compiled = 0, compile_node(condition)
        while True:
            with self._snapshot() as connection:
                found = items.read_texts(connection, last, compiled)
            if found is None:
                return
            last, texts = found
            yield texts

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
        backup.backup(
            self._file, as_path(path, "the copy"), overwrite=overwrite, on_progress=on_progress
        )

    def check(self) -> None:
        """Read the whole file and raise `FormatError` where it is damaged."""
        with self._snapshot() as connection:
            checking.check(connection, self._path, self._width, self._record_width)

    def compact(self) -> None:
        """Give the space of deleted items back to the disk. Needs as much free space meanwhile."""
        self._check_writable()
        with self._transaction() as connection:
            items.forget_removals(connection)
        with self._lock, reported(self._path):
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._guard.check()

    def optimize(self, share: float = 0.0) -> None:
        """Build the index where there is one, and write the files that open the collection fast.

        The first search of an object that may write does the same; after adding many items this
        spares it, and those who open the collection with mode="r", the wait. Small collections
        need no such files, and with mode="r" none is written.

        Parameters
        ----------
        share : float
            Only what lacks more than this share of the items is written anew.
        """
        with reported(self._path):
            self._view(None).prepare()
            if self._mode == "a":
                with self._lock:
                    due = self._mirror.due(share)
                    if due:
                        self._mirror.save(self._connection, due, self._watch_lock)

    def _save_if_due(self) -> None:
        """Write the files beside the collection, unless a writer or another search is at it."""
        if self._mode != "a":
            return
        due = self._mirror.due(_LAG_SEARCHING)
        if due and self._lock.acquire(blocking=False):
            try:
                if self._closed:
                    return
                self._mirror.save(self._connection, due, self._watch_lock)
            finally:
                self._lock.release()

    # Opening and closing

    def close(self) -> None:
        """Release the file. Closing twice is harmless.

        Where it was searched and much was written since, the files that open it fast are renewed.
        """
        with self._lock:
            if not (self._closed or self._forked) and self._mode == "a" and self._mirror.loaded:
                self._save_before_closing()
            self._release()

    def _save_before_closing(self) -> None:
        try:
            self._view(None)
            due = self._mirror.due(_LAG_CLOSING)
            if due:
                self._mirror.save(self._connection, due, self._watch_lock)
        except (
            sqlite3.Error,
            CollectionError,
        ):  # a damaged or a full disk: whoever reads on is told
            return

    def _release(self) -> None:
        with self._lock, self._watch_lock:
            self._closed = True
            self._end()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._release()

    def _is_open(self) -> bool:
        return not self._closed

    def _check(self) -> None:
        """Raise where the collection is closed, or its file is not the one that was opened."""
        if self._forked:
            self._open_again()
        self._check_open()
        self._guard.check()

    def _check_open(self) -> None:
        if self._closed:
            raise CollectionError(f"{self._path}: the collection is closed; open it again")

    def _open_again(self) -> None:
        """In a process that was forked off: SQLite's connections are of no use there."""
        with self._lock:
            if not self._forked:
                return
            self._check_open()
            self._begin(*self._reopen())

    # Connections

    def _version(self) -> Version | None:
        """Return a mark of all that was committed; None where it cannot be told at this moment."""
        if self._guard.has_index:
            return self._guard.commits()
        with self._watch_lock:
            found: int = self._watch().execute("PRAGMA data_version").fetchone()[0]
        return found

    def _watch(self) -> Connection:
        """Return the connection that watches the file; under the lock of the mirror."""
        if self._mode == "r":
            return self._connection
        return self._readers.watching()

    @contextmanager
    def _borrowed(self) -> Iterator[Connection]:
        """Give a connection that only reads, to this thread alone."""
        if self._mode == "r":  # a file that is not written, or that nobody else may open
            with self._lock:
                self._check_open()
                yield self._connection
            return
        with self._readers.lent() as connection:
            yield connection

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        with reported(self._path):
            self._check()
            with self._borrowed() as connection, reading(connection):
                yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with reported(self._path):
            if self._forked:
                self._open_again()
            with self._lock:
                self._check_open()
                with writing(self._connection):  # it checks the file
                    yield self._connection


def _scorer_of(collection: weakref.ref[EmbeddedCollection]) -> Callable[[], Scorer | None]:
    """Return what gives the scorer of the rank of real queries, without keeping a collection."""

    def scorer() -> Scorer | None:
        there = collection()
        if there is None:
            return None
        rank = shortlist_rank(there.quantizer)
        return None if rank.scorer is None else rank.scorer(there.quantizer)

    return scorer


# Forking. A forked process must use no connection of SQLite that it inherits, nor close it; locks
# that other threads held are held for ever there. While a process forks, no thread of ours is
# inside of SQLite; where one stays there for too long, the child may not use the file
# (`HeldFile.busy`).

_OPEN: weakref.WeakSet[EmbeddedCollection] = weakref.WeakSet()
_PATIENCE_S: Final = 1.0
_paused: list[EmbeddedCollection] = []
_taken: list[threading.RLock] = []


def _before_fork() -> None:
    for collection in list(_OPEN):
        if collection._forked:  # not used yet in this process
            continue
        _paused.append(collection)
        still = collection._readers.pause(_PATIENCE_S)
        for lock in {
            id(each): each for each in (collection._lock, collection._watch_lock)
        }.values():
            if lock.acquire(timeout=_PATIENCE_S):
                _taken.append(lock)
            else:
                still = False
        collection._guard.held.busy |= not still


def _after_fork() -> None:
    while _taken:
        _taken.pop().release()
    while _paused:
        collection = _paused.pop()
        collection._guard.held.busy = False
        collection._readers.resume()


def _in_child() -> None:
    _taken.clear()
    _paused.clear()
    for collection in list(_OPEN):
        collection._end.detach()
        for connection in (collection._connection, *collection._readers.connections()):
            # Never closed, not even when this process ends: that would end locks of the parent's
            # making, and could write an old log into the file.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        collection._forked = True
        collection._renew_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_in_child)
