"""The collection in a PostgreSQL table: every call is one snapshot or one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

from h2q._closing import Closing
from h2q._typing import Array, StrPath
from h2q.codes import BIT_ORDER, code_width
from h2q.collections import inputs
from h2q.collections.base import (
    Batch,
    CollectionInfo,
    Decoder,
    Id,
    IndexKind,
    Item,
    Keep,
    Neighbours,
    Payload,
    Quantizer,
    Rank,
    Where,
)
from h2q.collections.made_by import as_decoder, as_quantizer
from h2q.collections.pgvector import artifacts, items, schema, searching
from h2q.collections.pgvector.conditions import EVERYTHING, Condition, compile_where
from h2q.collections.pgvector.connection import Link
from h2q.collections.pgvector.hnsw import IndexOptions
from h2q.collections.servers.shortlist import ranked, shortlist_size
from h2q.ranks import choose_rank
from h2q.ranks.records import record_width


class PgvectorCollection(Closing):
    """A collection kept in PostgreSQL; open it with `h2q.open_collection`.

    Calls from several threads are done one after another. A connection lost between calls is made
    again by the next one.

    Parameters
    ----------
    link : Link
    mode : {"a", "r"}
    made : schema.Made
        What the collection is made of.
    index : IndexOptions or None
        Of the index to search by; None searches exactly.
    """

    def __init__(
        self, link: Link, mode: Literal["a", "r"], made: schema.Made, index: IndexOptions | None
    ) -> None:
        self._link = link
        self._mode = mode
        self._made = made
        self._index = index
        self._table = items.Table(made.name, made.n_bits, code_width(made.n_bits))

    # What it is

    @property
    def uri(self) -> str:
        """The address, without the password."""
        return self._link.shown

    @property
    def n_bits(self) -> int:
        """Length of the codes in bits."""
        return self._made.n_bits

    @property
    def keep(self) -> Keep:
        """What is kept of each real row beside its code."""
        return self._made.keep

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint (hex) of each artifact kept: `"quantizer"`, `"model"`, `"decoder"`."""
        with self._link.statements() as connection:
            return artifacts.fingerprints(connection, self._made.name)

    @cached_property
    def quantizer(self) -> Quantizer | None:
        """The quantizer that made the codes, or None."""
        with self._link.statements() as connection:
            data = artifacts.read(connection, self._made.name, "quantizer")
        return as_quantizer(data)

    @cached_property
    def decoder(self) -> Decoder | None:
        """What tells rows from codes, or None."""
        if "decoder" not in self.fingerprints:
            return None
        with self._link.statements() as connection:
            data = artifacts.read(connection, self._made.name, "decoder")
        return as_decoder(data)

    def model_bytes(self) -> bytes | None:
        """Return the model file kept with the codes, or None."""
        with self._link.statements() as connection:
            return artifacts.read(connection, self._made.name, "model")

    def write_model(self, path: StrPath) -> None:
        """Write the model file kept with the codes to `path`, whole or not at all."""
        with self._link.statements() as connection:
            artifacts.write_file(connection, self._made.name, "model", Path(path))

    def info(self) -> CollectionInfo:
        """Facts about the collection; the bytes are those of the items and their indexes."""
        with self._link.statements() as connection:
            count = items.count(connection, self._table, EVERYTHING)
            size = items.size_bytes(connection, self._table)
        index: IndexKind = "flat" if self._index is None else "hnsw"
        return CollectionInfo(
            uri=self.uri,
            engine="pgvector",
            format_version=schema.FORMAT_VERSION,
            n_bits=self._made.n_bits,
            bit_order=BIT_ORDER,
            count=count,
            size_bytes=size,
            created_by=self._made.created_by,
            fingerprints=self.fingerprints,
            keep=self._made.keep,
            index=index,
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
        """Add or replace items in one transaction; durable on return.

        See `h2q.collections.Collection.add`.
        """
        n_bits, keep = self._made.n_bits, self._made.keep
        names, packed = inputs.as_coded_ids(ids, codes, n_bits)
        if not names:
            return
        texts = inputs.as_payloads(payloads, names)
        quantizer = None if embeddings is None else self.quantizer
        records = inputs.as_records(embeddings, packed, keep, n_bits, quantizer)
        with self._link.writing() as connection:
            items.insert(
                connection, self._table, names, packed, texts, None if keep == "codes" else records
            )

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete items in one transaction; return how many were held."""
        names = inputs.as_ids(ids)
        with self._link.writing() as connection:
            return items.remove(connection, self._table, names)

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

        Without an index "hamming" and "embedding" are exact; the other ranks order the shortlist
        of the smallest Hamming distances. See `h2q.collections.Collection.search`.
        """
        k = inputs.as_count(k, "k", least=1)
        n_bits, keep = self._made.n_bits, self._made.keep
        asked = inputs.as_queries(queries, n_bits, self.quantizer, self.decoder)
        ranking = choose_rank(rank, asked, keep)
        length = shortlist_size(ranking, k, oversample)
        condition = compile_where(where)
        plan = self._plan(ties=ranking.distance_first)
        if ranking.score is None:
            return searching.nearest(self._link, self._table, asked, k, condition, plan)
        width = record_width(keep, n_bits) if ranking.needs_records else 0
        found = searching.shortlists(self._link, self._table, asked, length, condition, plan, width)
        return ranked(ranking, asked, found, keep=keep, n_bits=n_bits, k=k)

    def _plan(self, *, ties: bool) -> searching.Plan:
        ef_search = 0 if self._index is None else self._index.ef_search
        return searching.Plan(self._index is not None, ef_search, ties)

    def within(self, queries: Array, radius: int, where: Where | None = None) -> Neighbours:
        """Find all items at a Hamming distance of at most `radius` bits (inclusive), exactly.

        See `h2q.collections.Collection.within`.
        """
        radius = inputs.as_count(radius, "radius", least=0)
        asked = inputs.as_queries(queries, self._made.n_bits, self.quantizer)
        return searching.within(self._link, self._table, asked, radius, compile_where(where))

    # Reading

    def get(self, ids: Sequence[Id]) -> list[Item | None]:
        """Items by id, in the order asked for; None where an id is not held."""
        names = inputs.as_ids(ids)
        with self._link.statements() as connection:
            return items.read_items(connection, self._table, names)

    def count(self, where: Where | None = None) -> int:
        """Count the items, or those whose payload meets a condition."""
        condition = compile_where(where)
        with self._link.statements() as connection:
            return items.count(connection, self._table, condition)

    def iterate(self, batch_size: int = 10_000, where: Where | None = None) -> Iterator[Batch]:
        """Yield all items in batches, the oldest first.

        See `h2q.collections.Collection.iterate`.
        """
        size = inputs.as_count(batch_size, "batch_size", least=1)
        return self._batches(size, compile_where(where))

    def _batches(self, size: int, condition: Condition) -> Iterator[Batch]:
        last = 0
        while True:
            with self._link.statements() as connection:
                found = items.read_batch(connection, self._table, last, size, condition)
            if found is None:
                return
            last, batch = found
            yield batch

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[Id]:
        for batch in self.iterate():
            yield from batch.ids

    def __contains__(self, item_id: object) -> bool:
        if not inputs.is_id(item_id):
            return False
        with self._link.statements() as connection:
            return items.has(connection, self._table, item_id)

    # Opening and closing

    def close(self) -> None:
        """Release the connection. Closing twice is harmless."""
        self._link.close()

    def __repr__(self) -> str:
        return f"PgvectorCollection({self.uri!r}, n_bits={self.n_bits}, mode={self._mode!r})"
