"""A collection on a Milvus server: the same calls as any other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from h2q._typing import CodeArray
from h2q.collections.base import Batch, Collection, Item, NewItems
from h2q.collections.conditions import Node
from h2q.collections.index_spec import IndexSpec
from h2q.collections.inputs import Id
from h2q.collections.milvus import artifacts, finding, writing
from h2q.collections.milvus.expressions import Compiled, compile_node
from h2q.collections.milvus.paging import Row, count, newest
from h2q.collections.milvus.rows import codes_of, id_of, key_of, payload_of, record_text_length
from h2q.collections.milvus.scanning import rows_where
from h2q.collections.milvus.schema import FORMAT_VERSION, Meta
from h2q.collections.milvus.server import Server
from h2q.collections.request import Facts, OpenRequest
from h2q.collections.shortlists import Asked, Shortlist
from h2q.ranks.records import record_width

#: Items asked for by id in one request.
_IDS_AT_ONCE: Final = 4096


class MilvusCollection(Collection):
    """A collection on a Milvus server; open it with `h2q.open_collection`.

    Every read begins with a request that sees all writes acknowledged before it (unless the
    address asks for less: ``?consistency=``). Objects may be used by several threads.

    With index="flat", "hamming", "embedding" and `within` are exact; the other ranks order the
    shortlist of the smallest Hamming distances. With "hnsw", `within` returns what the index finds.

    `add` checks all before anything is sent. One request takes up to 100,000 items and 32 MB, and
    happens whole or not at all. A longer call is several requests: where one of them fails, the
    error says how many items were added; repeating the call does no harm. One request of `delete`
    takes up to 4,096 ids.
    """

    engine_title = "a collection on a Milvus server"

    def __init__(self, server: Server, meta: Meta, index: IndexSpec, request: OpenRequest) -> None:
        facts = Facts(
            "milvus",
            FORMAT_VERSION,
            meta.n_bits,
            meta.keep,
            index,
            meta.kept,
            meta.created_by,
            meta.bit_order,
        )
        super().__init__(str(server.address), request.mode, facts, request.learner)
        self._server = server
        self._meta = meta
        self._record_width = record_width(meta.keep, meta.n_bits)
        self._newest = 0

    def _is_open(self) -> bool:
        return not self._server.closed

    def _insert(self, new: NewItems) -> None:
        writing.upsert(self._server, new.ids, new.codes, new.payloads, new.records)

    def _remove(self, ids: list[Id]) -> int:
        held = [row["id"] for row in self._rows_of(ids, [])]
        writing.delete(self._server, held)
        return len(held)

    def _nearest(self, asked: Asked) -> Iterable[Shortlist]:
        return self._finder(asked.condition).nearest(asked)

    def _within(self, codes: CodeArray, radius: int, condition: Node | None) -> Iterable[Shortlist]:
        return self._finder(condition).within(codes, radius)

    def _finder(self, condition: Node | None) -> finding.Finder:
        compiled = self._compiled(condition)
        return finding.Finder(self._server, self._meta, self._facts.index, compiled)

    def _compiled(self, condition: Node | None) -> Compiled:
        return compile_node(condition, negate=self._server.negates)

    def _read(self, ids: list[Id]) -> list[Item | None]:
        rows = self._rows_of(list(dict.fromkeys(ids)), ["code", "payload", "raw"])
        codes = codes_of(rows, self._meta.width)
        held = {
            id_of(row["id"]): Item(id_of(row["id"]), code, payload_of(row))
            for row, code in zip(rows, codes, strict=True)
        }
        return [held.get(name) for name in ids]

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

    def _count(self, condition: Node | None) -> int:
        compiled = self._compiled(condition)
        if compiled.exact:
            return count(self._server, compiled.expression, self._server.address.consistency)
        return sum(len(rows) for rows in rows_where(self._server, compiled, []))

    def _revision(self) -> str:
        held = count(self._server, "", self._server.address.consistency)
        self._newest = newest(self._server, self._newest)
        return f"{self._newest}-{held}"

    def _scan(self, batch_size: int, condition: Node | None) -> Iterator[Batch]:
        waiting: list[Row] = []
        compiled = self._compiled(condition)
        for rows in rows_where(self._server, compiled, ["code", "payload", "raw"]):
            waiting += rows
            whole = len(waiting) - len(waiting) % batch_size
            for start in range(0, whole, batch_size):
                yield self._batch(waiting[start : start + batch_size])
            waiting = waiting[whole:]
        if waiting:
            yield self._batch(waiting)

    def _batch(self, rows: list[Row]) -> Batch:
        return Batch(
            [id_of(row["id"]) for row in rows],
            codes_of(rows, self._meta.width),
            [payload_of(row) for row in rows],
        )

    def _chunks(self, name: str) -> Iterable[bytes]:
        size = int(self._meta.artifacts[name]["size"])
        return artifacts.chunks(self._server, self._meta.companion, name, size)

    def _size(self) -> int:
        """Bytes of the codes, the sequence numbers and the records.

        A server does not say what it has on its disks.
        """
        a_row = self._meta.width + 8 + record_text_length(self._record_width)
        return self._count(None) * a_row

    def __iter__(self) -> Iterator[Id]:
        for rows in rows_where(self._server, self._compiled(None), []):
            yield from (id_of(row["id"]) for row in rows)

    def close(self) -> None:
        """Release the connection. Closing twice is harmless."""
        self._server.close()
