"""Searches done on this side: where a server cannot return enough, or cannot check a condition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.milvus.expressions import Compiled
from h2q.collections.milvus.paging import Row, pages
from h2q.collections.milvus.rows import codes_of, payload_of, records_of
from h2q.collections.milvus.searching import Found
from h2q.collections.milvus.server import Server


@dataclass(frozen=True)
class Scanned:
    """All items that meet a condition, the oldest first.

    Attributes
    ----------
    keys : list of n str
    codes : ndarray of shape (n, width), uint8
    records : ndarray of shape (n, record width), uint8, or None
    """

    keys: list[str]
    codes: CodeArray
    records: NDArray[np.uint8] | None

    def within(self, code: CodeArray, radius: int) -> Found:
        """Items within a radius of a code (width,)."""
        distances = np.bitwise_count(self.codes ^ code).sum(axis=1, dtype=np.int32)
        inside = np.flatnonzero(distances <= radius)
        return Found([self.keys[i] for i in inside.tolist()], distances[inside], inside)


def rows_where(server: Server, condition: Compiled, fields: list[str]) -> Iterator[list[Row]]:
    """Yield the rows that meet a condition in the order of adding, some thousand at a time."""
    wanted = [*fields] if condition.exact else [*{*fields, "payload", "raw"}]
    for rows in pages(server, condition.expression, ["id", "seq", *wanted]):
        kept = rows if condition.exact else [r for r in rows if condition.holds(payload_of(r))]
        if kept:
            yield kept


def scan(server: Server, condition: Compiled, width: int, record_width: int) -> Scanned:
    """Fetch the keys and codes of all items that meet a condition, and their records if any."""
    fields = ["code", "record"] if record_width else ["code"]
    keys: list[str] = []
    codes = [np.empty((0, width), np.uint8)]
    records = [np.empty((0, record_width), np.uint8)]
    for rows in rows_where(server, condition, fields):
        keys += [row["id"] for row in rows]
        codes.append(codes_of(rows, width))
        if record_width:
            records.append(records_of(rows, record_width))
    return Scanned(keys, np.concatenate(codes), np.concatenate(records) if record_width else None)
