"""A collection on a Milvus server: the same calls as any other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from h2q._closing import Closing
from h2q._files import written_whole
from h2q._typing import Array, StrPath
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
from h2q.collections.made_by import as_decoder, as_quantizer
from h2q.collections.milvus import artifacts, finding, writing
from h2q.collections.milvus.expressions import Compiled, compile_where
from h2q.collections.milvus.index import Index
from h2q.collections.milvus.paging import Row, count
from h2q.collections.milvus.rows import codes_of, id_of, key_of, payload_of, record_text_length
from h2q.collections.milvus.scanning import rows_where
from h2q.collections.milvus.schema import FORMAT_VERSION, Meta
from h2q.collections.milvus.server import Server
from h2q.collections.servers.shortlist import shortlist_size
from h2q.errors import CollectionError, InvalidInputError
from h2q.ranks import choose_rank
from h2q.ranks.records import record_width

#: Items asked for by id in one request.
_IDS_AT_ONCE: Final = 4096


class MilvusCollection(Closing):
    """A collection on a Milvus server; open it with `h2q.open_collection`.

    Every read begins with a request that sees all writes acknowledged before it (unless the
    address asks for less: ``?consistency=``). Objects may be used by several threads.
    """

    def __init__(self, server: Server, meta: Meta, index: Index, mode: Literal["a", "r"]) -> None:
        self._server = server
        self._meta = meta
        self._index = index
        self._mode = mode
        self._record_width = record_width(meta.keep, meta.n_bits)

    # What it is

    @property
    def uri(self) -> str:
        """Address of the collection, without the password."""
        return str(self._server.address)

    @property
    def n_bits(self) -> int:
        """Length of the codes in bits."""
        return self._meta.n_bits

    @property
    def keep(self) -> Keep:
        """What is kept of each item's real row beside its code."""
        return self._meta.keep

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint (hex) of each artifact kept: `"quantizer"`, `"model"`, `"decoder"`."""
        return self._meta.fingerprints

    @cached_property
    def quantizer(self) -> Quantizer | None:
        """The quantizer that made the codes, or None."""
        return as_quantizer(self._artifact("quantizer"))

    @cached_property
    def decoder(self) -> Decoder | None:
        """What tells rows from codes, or None."""
        if "decoder" not in self.fingerprints:
            return None
        return as_decoder(self._artifact("decoder"))

    def model_bytes(self) -> bytes | None:
        """Return the model file kept with the codes, or None."""
        return self._artifact("model")

    def write_model(self, path: StrPath) -> None:
        """Write the model file kept with the codes to `path`, whole or not at all."""
        facts = self._meta.artifacts.get("model")
        if facts is None:
            raise InvalidInputError("the collection holds no model")
        with written_whole(Path(path)) as file:
            for chunk in artifacts.chunks(self._server, self._meta.companion, "model", facts):
                file.write(chunk)

    def _artifact(self, name: str) -> bytes | None:
        facts = self._meta.artifacts.get(name)
        if facts is None:
            return None
        return artifacts.read(self._server, self._meta.companion, name, facts)

    def info(self) -> CollectionInfo:
        """Facts about the collection.

        `size_bytes` counts the codes, the sequence numbers and the records: a server does not say
        what it has on its disks.
        """
        held = len(self)
        a_row = self._meta.width + 8 + record_text_length(self._record_width)
        return CollectionInfo(
            uri=self.uri,
            engine="milvus",
            format_version=FORMAT_VERSION,
            n_bits=self._meta.n_bits,
            bit_order=self._meta.bit_order,
            count=held,
            size_bytes=held * a_row,
            created_by=self._meta.created_by,
            fingerprints=self.fingerprints,
            keep=self._meta.keep,
            index=self._index.kind,
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
        """Add or replace items; all is checked before anything is sent.

        One request takes up to 100,000 items and 32 MB, and happens whole or not at all. A longer
        call is several requests: where one of them fails, the error says how many items were
        added; repeating the call does no harm. See `h2q.collections.Collection.add`.
        """
        self._check_writable()
        names, packed = inputs.as_coded_ids(ids, codes, self._meta.n_bits)
        if not names:
            return
        texts = inputs.as_payloads(payloads, names)
        quantizer = None if embeddings is None else self.quantizer
        keep, n_bits = self._meta.keep, self._meta.n_bits
        records = inputs.as_records(embeddings, packed, keep, n_bits, quantizer)
        writing.upsert(self._server, names, packed, texts, records if self._record_width else None)

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete items; return how many were held.

        One request takes up to 4,096 ids, and happens whole or not at all.
        """
        self._check_writable()
        names = list(dict.fromkeys(inputs.as_ids(ids)))
        held = [row["id"] for row in self._rows_of(names, [])]
        writing.delete(self._server, held)
        return len(held)

    def _check_writable(self) -> None:
        if self._mode == "r":
            raise CollectionError(
                f"{self.uri}: opened for reading (mode='r'); open it with mode='a' to write"
            )

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

        With index="flat", "hamming" and "embedding" are exact; "asymmetric", "calibrated" and
        "cosine" order the shortlist of the smallest Hamming distances. See
        `h2q.collections.Collection.search`.
        """
        k = inputs.as_count(k, "k", least=1)
        asked = inputs.as_queries(queries, self._meta.n_bits, self.quantizer, self.decoder)
        ranking = choose_rank(rank, asked, self._meta.keep)
        size = shortlist_size(ranking, k, oversample)
        return self._finder(where).search(asked, ranking, k, size)

    def within(self, queries: Array, radius: int, where: Where | None = None) -> Neighbours:
        """Find all items at a Hamming distance of at most `radius` bits (inclusive).

        All of them with index="flat" and "ivf", those the index finds with "hnsw". See
        `h2q.collections.Collection.within`.
        """
        radius = inputs.as_count(radius, "radius", least=0)
        asked = inputs.as_queries(queries, self._meta.n_bits, self.quantizer)
        return self._finder(where).within(asked, radius)

    def _finder(self, where: Where | None) -> finding.Finder:
        return finding.Finder(self._server, self._meta, self._index, self._compiled(where))

    def _compiled(self, where: Where | None) -> Compiled:
        return compile_where(where, negate=self._server.negates)

    # Reading

    def get(self, ids: Sequence[Id]) -> list[Item | None]:
        """Items by id, in the order asked for; None where an id is not held."""
        names = inputs.as_ids(ids)
        rows = self._rows_of(list(dict.fromkeys(names)), ["code", "payload", "raw"])
        codes = codes_of(rows, self._meta.width)
        held = {
            id_of(row["id"]): Item(id_of(row["id"]), code, payload_of(row))
            for row, code in zip(rows, codes, strict=True)
        }
        return [held.get(name) for name in names]

    def _rows_of(self, names: list[Id], fields: list[str]) -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(names), _IDS_AT_ONCE):
            listed = writing.listed([key_of(each) for each in names[start : start + _IDS_AT_ONCE]])
            rows += self._server.call(
                "query",
                self._server.address.name,
                filter=f"id in [{listed}]",
                output_fields=["id", *fields],
                consistency_level=self._server.address.consistency,
            )
        return rows

    def count(self, where: Where | None = None) -> int:
        """Count the items, or those whose payload meets a condition."""
        condition = self._compiled(where)
        if condition.exact:
            return count(self._server, condition.expression, self._server.address.consistency)
        return sum(len(rows) for rows in rows_where(self._server, condition, []))

    def iterate(self, batch_size: int = 10_000, where: Where | None = None) -> Iterator[Batch]:
        """Yield all items in batches, the oldest first.

        See `h2q.collections.Collection.iterate`.
        """
        size = inputs.as_count(batch_size, "batch_size", least=1)
        return self._batches(size, self._compiled(where))

    def _batches(self, size: int, condition: Compiled) -> Iterator[Batch]:
        waiting: list[Row] = []
        for rows in rows_where(self._server, condition, ["code", "payload", "raw"]):
            waiting += rows
            whole = len(waiting) - len(waiting) % size
            for start in range(0, whole, size):
                yield self._batch(waiting[start : start + size])
            waiting = waiting[whole:]
        if waiting:
            yield self._batch(waiting)

    def _batch(self, rows: list[Row]) -> Batch:
        return Batch(
            [id_of(row["id"]) for row in rows],
            codes_of(rows, self._meta.width),
            [payload_of(row) for row in rows],
        )

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[Id]:
        for rows in rows_where(self._server, self._compiled(None), []):
            yield from (id_of(row["id"]) for row in rows)

    def __contains__(self, item_id: object) -> bool:
        return inputs.is_id(item_id) and bool(self._rows_of([item_id], []))

    # Opening and closing

    def close(self) -> None:
        """Release the connection. Closing twice is harmless."""
        self._server.close()

    def __repr__(self) -> str:
        return f"MilvusCollection({self.uri!r}, n_bits={self.n_bits}, mode={self._mode!r})"
