"""A collection behind a server: every call is one of its requests.

Rows are sent as they were given and coded, rotated and ranked by the server, so a client needs
neither the quantizer nor its libraries. Calls that are too large for one request go in several:
searches one after another, and the items of one `add` as an upload that the server stores at the
end, all or none.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array, CodeArray
from h2q.codes import code_width
from h2q.collections import inputs
from h2q.collections.artifacts import ArtifactFacts, fingerprint
from h2q.collections.base import (
    Batch,
    Collection,
    Id,
    Item,
    Neighbours,
    NewItems,
    Payload,
    Rank,
    Where,
)
from h2q.collections.conditions import Node, parse_where
from h2q.collections.http.caller import Caller, TooLargeError
from h2q.collections.http.conditions import where_of
from h2q.collections.http.wire import array_as_json, codes_of_text
from h2q.collections.shortlists import Asked, Shortlist
from h2q.collections.values import rows_of
from h2q.errors import CollectionError, FormatError, InvalidInputError

_API: Final = "api/v1"
#: Bytes of arrays and payloads in a request; a server takes 32 MiB unless told otherwise.
_MOST_BYTES: Final = 8 << 20
_MOST_IDS: Final = 10_000


class HttpCollection(Collection):
    """Made by `h2q.open_collection("http://host:port/")`; has the methods of every collection."""

    engine_title: ClassVar[str] = "a collection behind a server"

    def __init__(self, *given: Any, caller: Caller) -> None:
        super().__init__(*given)
        self._caller = caller

    def _is_open(self) -> bool:
        return not self._caller.closed

    # Writing

    def add(
        self,
        ids: Sequence[Id],
        codes: Array | None = None,
        payloads: Sequence[Payload | None] | None = None,
        *,
        embeddings: Array | None = None,
    ) -> None:
        """Add items, as `h2q.collections.Collection.add` says; the server codes real rows."""
        self._check_writable()
        names = inputs.as_ids(ids)
        texts = inputs.as_payloads(payloads, names) if payloads is not None else None
        arrays = {
            name: rows_of(array)
            for name, array in (("codes", codes), ("embeddings", embeddings))
            if array is not None
        }
        self._send(names, texts, arrays)
        if "quantizer" not in self._artifacts:  # these rows may have fitted it
            self._look_again()

    def _send(
        self, names: list[Id], texts: list[str | None] | None, arrays: dict[str, NDArray[Any]]
    ) -> None:
        parts = _parts(names, texts, arrays)
        upload = secrets.token_hex(16)
        for number, (start, stop) in enumerate(parts):
            whole = len(parts) == 1
            body: dict[str, Any] = {
                "ids": names[start:stop],
                **{
                    name: array_as_json(array if whole else array[start:stop])
                    for name, array in arrays.items()
                },
            }
            if not whole:
                last = number == len(parts) - 1
                body["upload"] = {"token": upload, "part": number, "last": last}
            text = json.dumps(body)
            if texts is not None:  # JSON already
                held = ",".join("null" if each is None else each for each in texts[start:stop])
                text = f'{text[:-1]},"payloads":[{held}]}}'
            self._caller.post(f"{_API}/items", text)

    def _insert(self, items: NewItems) -> None:
        if items.records is not None:
            raise self._not_here("way to store records", "give add the rows")
        self._send(items.ids, items.payloads, {"codes": items.codes})

    def _remove(self, ids: list[Id]) -> int:
        return int(self._caller.post(f"{_API}/items/delete", {"ids": ids})["deleted"])

    # Searching

    def search(
        self,
        queries: Array,
        k: int = 10,
        where: Where | None = None,
        rank: Rank | None = None,
        oversample: int | None = None,
        *,
        payloads: bool = False,
    ) -> Neighbours:
        """Find the `k` best items, as `h2q.collections.Collection.search` says."""
        asked = {
            "k": min(inputs.as_count(k, "k", least=1), 2**31 - 1),
            "rank": _plain(rank),
            "oversample": _count_or_none(oversample),
        }
        return self._asked(queries, where, asked, payloads)

    def within(
        self,
        queries: Array,
        radius: int,
        where: Where | None = None,
        *,
        payloads: bool = False,
    ) -> Neighbours:
        """Find all items within a radius, as `h2q.collections.Collection.within` says."""
        radius = min(inputs.as_count(radius, "radius", least=0), self.n_bits)
        return self._asked(queries, where, {"radius": radius}, payloads)

    def _asked(
        self, queries: Array, where: Where | None, asked: dict[str, Any], payloads: bool
    ) -> Neighbours:
        rows = rows_of(queries)
        if where is not None:
            asked = {**asked, "where": where_of(parse_where(where))}
        step = max(1, _MOST_BYTES // max(1, rows[:1].nbytes)) if rows.ndim == 2 else len(rows)
        blocks = [rows] if len(rows) <= step else np.split(rows, range(step, len(rows), step))
        found: list[dict[str, Any]] = []
        while blocks:
            block = blocks.pop(0)
            body = {**asked, "queries": array_as_json(block), "payloads": bool(payloads)}
            try:
                found.append(self._caller.post(f"{_API}/batch", body))
            except TooLargeError:
                if block.ndim != 2 or len(block) < 2:
                    raise
                half = len(block) // 2
                blocks[:0] = [block[:half], block[half:]]
        return _neighbours(found)

    def _nearest(self, asked: Asked) -> Iterable[Shortlist]:
        if asked.with_records:
            raise self._not_here("way to hand records out", "let the server rank, by search")
        found = self.search(asked.codes, asked.size, _where(asked.condition), "hamming")
        for ids, distances in zip(found.ids, found.distances, strict=True):
            ages = np.arange(len(ids))
            if asked.with_codes:
                items = self._read(list(ids))
                held = [item is not None for item in items]  # some may be gone since
                codes = [item.code for item in items if item is not None]
                packed = np.array(codes, np.uint8).reshape(-1, code_width(self.n_bits))
                kept = [item.id for item in items if item is not None]
                yield Shortlist(kept, packed, None, ages[np.array(held, bool)])
            else:
                yield Shortlist(list(ids), None, None, ages, distances)

    def _within(self, codes: CodeArray, radius: int, condition: Node | None) -> Iterable[Shortlist]:
        found = self.within(codes, radius, _where(condition))
        for ids, distances in zip(found.ids, found.distances, strict=True):
            yield Shortlist(ids, None, None, np.arange(len(ids)), distances)

    # Reading

    def _read(self, ids: list[Id]) -> list[Item | None]:
        found: list[Item | None] = []
        for start in range(0, len(ids), _MOST_IDS):
            body = {"ids": ids[start : start + _MOST_IDS]}
            answer = self._caller.post(f"{_API}/items/get", body)
            for each in answer["items"]:
                found.append(None if each is None else Item(*self._fields(each)))
        return found

    def _count(self, condition: Node | None) -> int:
        body = {"where": _where(condition)}
        return int(self._caller.post(f"{_API}/items/count", body)["count"])

    def _revision(self) -> str:
        return str(self._caller.get(f"{_API}/info")["revision"])

    def _scan(self, batch_size: int, condition: Node | None) -> Iterator[Batch]:
        body = {"where": _where(condition), "batch_size": min(batch_size, _MOST_IDS)}
        waiting: list[tuple[Id, CodeArray, dict[str, Any] | None]] = []
        line: Any = ()
        for line in self._caller.lines(f"{_API}/scan", body):
            waiting.extend(self._fields(each) for each in line or ())
            while len(waiting) >= batch_size:
                yield _batch(waiting[:batch_size])
                del waiting[:batch_size]
        if line is not None:  # the end is marked
            raise CollectionError(f"{self.uri}: the server broke off; read the items again")
        if waiting:
            yield _batch(waiting)

    def _fields(self, each: dict[str, Any]) -> tuple[Id, CodeArray, dict[str, Any] | None]:
        return each["id"], codes_of_text(each["code"], self.n_bits)[0], each["payload"]

    # What it is

    def _look_again(self) -> None:
        marks = self._caller.get(f"{_API}/info")["fingerprints"]
        with self._artifact_lock:
            for name, mark in marks.items():
                self._artifacts.setdefault(str(name), ArtifactFacts(str(mark), ""))

    def _content(self, name: str) -> Iterator[bytes]:
        data = b"".join(self._chunks(name))
        # The server states the mark of the content; that of its bytes would say nothing more.
        if fingerprint(data) != self._artifacts[name].fingerprint:
            raise FormatError(f"{self.uri}: the {name} came damaged; open the collection again")
        yield data

    def _chunks(self, name: str) -> Iterable[bytes]:
        return [self._caller.get_bytes(f"{_API}/artifacts/{name}")]

    def _size(self) -> int:
        return int(self._caller.get(f"{_API}/info")["size_bytes"])

    def close(self) -> None:
        """Let the connections go; the server goes on."""
        self._caller.close()


def _where(condition: Node | None) -> dict[str, Any] | None:
    return None if condition is None else where_of(condition)


def _plain(rank: Rank | None) -> str | None:
    if rank is None or isinstance(rank, str):
        return rank
    raise InvalidInputError(f"rank is the name of one, got {rank!r}")


def _count_or_none(value: int | None) -> int | None:
    return None if value is None else inputs.as_count(value, "oversample", least=1)


def _parts(
    names: list[Id], texts: list[str | None] | None, arrays: dict[str, NDArray[Any]]
) -> list[tuple[int, int]]:
    """Return the stretches of items that fit a request each; one where the lengths differ."""
    if any(array.ndim < 1 or len(array) != len(names) for array in arrays.values()):
        return [(0, len(names))]  # which the server refuses, and says why
    row = sum(array[:1].nbytes for array in arrays.values()) * 4 // 3
    parts = []
    start = size = 0
    for place, name in enumerate(names):
        here = row + 24 + (len(name) if isinstance(name, str) else 0)
        here += 0 if texts is None else len(texts[place] or "")
        if size and size + here > _MOST_BYTES:
            parts.append((start, place))
            start, size = place, 0
        size += here
    return [*parts, (start, len(names))]


def _batch(items: list[tuple[Id, CodeArray, dict[str, Any] | None]]) -> Batch:
    ids, codes, payloads = zip(*items, strict=True)
    return Batch(list(ids), np.stack(codes), list(payloads))


def _neighbours(found: list[dict[str, Any]]) -> Neighbours:
    scored = bool(found) and found[0]["scores"] is not None
    held = bool(found) and found[0]["payloads"] is not None
    return Neighbours(
        [ids for each in found for ids in each["ids"]],
        [np.array(row, np.int32) for each in found for row in each["distances"]],
        [np.array(row, np.float32) for each in found for row in each["scores"]] if scored else None,
        payloads=[row for each in found for row in each["payloads"]] if held else None,
    )
