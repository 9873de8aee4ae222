"""The collection in one file: every call is one snapshot or one transaction on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

from h2q._typing import Array, StrPath
from h2q.codes import code_width
from h2q.collections import inputs
from h2q.collections.base import (
    Batch,
    CollectionInfo,
    Decoder,
    Id,
    Item,
    Keep,
    Neighbours,
    Payload,
    Quantizer,
    Rank,
    Where,
)
from h2q.collections.embedded import artifacts, backup, beside, checking, items, schema, searching
from h2q.collections.embedded.connection import Mode
from h2q.collections.embedded.held_file import Guard
from h2q.collections.embedded.index_spec import IndexSpec
from h2q.collections.embedded.record_mirror import RecordMirror
from h2q.collections.embedded.session import Session
from h2q.collections.filters import Condition, compile_where
from h2q.collections.made_by import as_decoder, as_quantizer
from h2q.ranks import check_keep, choose_rank
from h2q.ranks.records import record_width

_EVERYTHING = Condition("1", ())


class EmbeddedCollection(Session):
    """A collection kept in one SQLite file; open it with `h2q.open_collection`.

    SQLite, in WAL mode, is the truth. The codes are mirrored in memory when first searched and
    brought up to date at each call, so other processes may write and read the file meanwhile: each
    call sees all that was committed before it. One writer at a time; another waits.

    A thread-safe object: calls from several threads are done one after another.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        mode: Mode,
        meta: dict[str, str],
        spec: IndexSpec,
        guard: Guard,
    ) -> None:
        super().__init__(connection, path, mode, int(meta["n_bits"]), spec, guard)
        self._meta = meta
        self._n_bits = int(meta["n_bits"])
        self._width = code_width(self._n_bits)
        self._keep = check_keep(meta["keep"])
        self._records = RecordMirror(record_width(self._keep, self._n_bits))

    # What it is

    @property
    def n_bits(self) -> int:
        """Length of the codes in bits."""
        return self._n_bits

    @property
    def keep(self) -> Keep:
        """What is kept of each item's real row beside its code."""
        return self._keep

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint (hex) of each artifact kept: `"quantizer"`, `"model"`, `"decoder"`."""
        with self._snapshot() as connection:
            return artifacts.fingerprints(connection)

    @cached_property
    def quantizer(self) -> Quantizer | None:
        """The quantizer that made the codes, or None."""
        with self._snapshot() as connection:
            data = artifacts.read(connection, "quantizer")
        return as_quantizer(data)

    @cached_property
    def decoder(self) -> Decoder | None:
        """What tells rows from codes, or None."""
        if "decoder" not in self.fingerprints:
            return None
        with self._snapshot() as connection:
            data = artifacts.read(connection, "decoder")
        return as_decoder(data)

    def model_bytes(self) -> bytes | None:
        """Return the model file kept with the codes, or None."""
        with self._snapshot() as connection:
            return artifacts.read(connection, "model")

    def write_model(self, path: StrPath) -> None:
        """Write the model file kept with the codes to `path`, whole or not at all."""
        with self._snapshot() as connection:
            artifacts.write_file(connection, "model", Path(path))

    def info(self) -> CollectionInfo:
        """Facts about the collection."""
        files = [self._file, beside.log_of(self._file)]
        return CollectionInfo(
            uri=self.uri,
            engine="embedded",
            format_version=schema.version_of(self._keep),
            n_bits=self._n_bits,
            bit_order=self._meta["bit_order"],
            count=len(self),
            size_bytes=sum(file.stat().st_size for file in files if file.exists()),
            created_by=self._meta.get("created_by", "unknown"),
            fingerprints=self.fingerprints,
            keep=self._keep,
            index=self._spec.kind,
        )

    # Writing

    def add(
        self,
        ids: Sequence[Id],
        codes: Array,
        payloads: Sequence[Payload | None] | None = None,
        *,
        embeddings: Array | None = None,
    ) -> None:
        """Add or replace items, all of the call or none; durable on return.

        See `h2q.collections.Collection.add`.
        """
        names, packed = inputs.as_coded_ids(ids, codes, self._n_bits)
        if not names:
            return
        texts = inputs.as_payloads(payloads, names)
        quantizer = None if embeddings is None else self.quantizer
        records = inputs.as_records(embeddings, packed, self._keep, self._n_bits, quantizer)
        with self._transaction() as connection:
            items.insert(
                connection, names, packed, texts, None if self._keep == "codes" else records
            )

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete items, all of the call or none; return how many were held."""
        names = inputs.as_ids(ids)
        with self._transaction() as connection:
            return items.remove(connection, names)

    def backup(
        self,
        path: StrPath,
        *,
        overwrite: bool = False,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Copy the collection, as it is now, to another file: whole or not at all.

        Searches and writers, of this process and of others, go on meanwhile; what they write is
        not in the copy.

        Parameters
        ----------
        path : path
            The copy.
        overwrite : bool
            Whether `path` may be a file that is then replaced.
        on_progress : callable, optional
            Told, now and then, the pages copied and all there are. If it raises, the copy is given
            up and `path` is as it was.

        Raises
        ------
        CollectionError
            If `path` exists and is not to be replaced, or cannot be written.
        """
        with self._snapshot():  # raises where the collection is closed
            pass
        backup.backup(self._file, Path(path), overwrite=overwrite, on_progress=on_progress)

    # Searching

    def search(
        self,
        queries: Array,
        k: int,
        where: Where | None = None,
        rank: Rank | None = None,
        oversample: int | None = None,
    ) -> Neighbours:
        """Find the `k` best items for each query.

        "hamming", "asymmetric" and "embedding" are exact; "calibrated" and "cosine" order the
        shortlist of the highest asymmetric scores. With index="ivf" or "hnsw", "hamming" finds most
        of the nearest, and the others order its `oversample * k` (10 by default) nearest. See
        `h2q.collections.Collection.search`.
        """
        k = inputs.as_count(k, "k", least=1)
        asked = inputs.as_queries(queries, self._n_bits, self.quantizer, self.decoder)
        ranking = choose_rank(rank, asked, self._keep)
        condition = None if where is None else compile_where(where)
        with self._view(condition, alone=not ranking.needs_records) as view:
            return searching.neighbours(
                view,
                asked,
                ranking,
                k,
                oversample=oversample,
                records_of=partial(self._records.of, self._connection),
                keep=self._keep,
                n_bits=self._n_bits,
            )

    def within(self, queries: Array, radius: int, where: Where | None = None) -> Neighbours:
        """Find all items at a Hamming distance of at most `radius` bits (inclusive).

        See `h2q.collections.Collection.within`.
        """
        radius = inputs.as_count(radius, "radius", least=0)
        asked = inputs.as_queries(queries, self._n_bits, self.quantizer)
        condition = None if where is None else compile_where(where)
        with self._view(condition) as view:
            return searching.by_distance(view, view.within(asked.codes, radius))

    # Reading

    def get(self, ids: Sequence[Id]) -> list[Item | None]:
        """Items by id, in the order asked for; None where an id is not held."""
        names = inputs.as_ids(ids)
        with self._snapshot() as connection:
            return [items.read_item(connection, name) for name in names]

    def count(self, where: Where | None = None) -> int:
        """Count the items, or those whose payload meets a condition."""
        condition = None if where is None else compile_where(where)
        with self._snapshot() as connection:
            if condition is None:
                return items.read_state(connection).count
            return items.count_where(connection, condition)

    def iterate(self, batch_size: int = 10_000, where: Where | None = None) -> Iterator[Batch]:
        """Yield all items in batches, the oldest first.

        See `h2q.collections.Collection.iterate`.
        """
        size = inputs.as_count(batch_size, "batch_size", least=1)
        condition = _EVERYTHING if where is None else compile_where(where)
        return self._batches(size, condition)

    def _batches(self, size: int, condition: Condition) -> Iterator[Batch]:
        last = 0
        while True:
            with self._snapshot() as connection:
                found = items.read_batch(connection, last, size, self._width, condition)
            if found is None:
                return
            last, batch = found
            yield batch

    def check(self) -> None:
        """Read the whole file and raise `FormatError` where it is damaged."""
        with self._snapshot() as connection:
            record_bytes = record_width(self._keep, self._n_bits)
            checking.check(connection, self._path, self._width, record_bytes)

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[Id]:
        for batch in self.iterate():
            yield from batch.ids

    def __contains__(self, item_id: object) -> bool:
        if not inputs.is_id(item_id):
            return False
        with self._snapshot() as connection:
            return items.has(connection, item_id)

    def __repr__(self) -> str:
        return f"EmbeddedCollection({self.uri!r}, n_bits={self._n_bits}, mode={self._mode!r})"
