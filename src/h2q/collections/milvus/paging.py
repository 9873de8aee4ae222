"""All items that meet an expression, in the order of adding, however many there are.

A server returns at most 16,384 rows of a query, in no order one could ask for. So the range of
sequence numbers is halved until a part has few enough rows; these are fetched and sorted here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from h2q.collections.milvus.address import Consistency
from h2q.collections.milvus.server import Server, TooLargeError

#: Rows a request.
_PAGE: Final = 8192
_ALL: Final = (0, 2**63 - 1)
Row = dict[str, Any]


def count(server: Server, expression: str, consistency: Consistency) -> int:
    """Count the items that meet an expression; an empty one is met by all."""
    rows = server.call(
        "query",
        server.address.name,
        filter=expression,
        output_fields=["count(*)"],
        consistency_level=consistency,
    )
    return int(rows[0]["count(*)"])


def newest(server: Server, known: int) -> int:
    """Return the highest sequence number ever met, from one that is known already.

    A server has no maximum to ask for: some rows beyond the known one are, in whatever order they
    come, soon those at the end.
    """
    while True:
        rows = server.call(
            "query",
            server.address.name,
            filter=f"seq > {known}",
            output_fields=["seq"],
            limit=_PAGE,
            consistency_level=_later(server),
        )
        if not rows:
            return known
        known = max(int(row["seq"]) for row in rows)


def pages(
    server: Server, expression: str, fields: list[str], *, largest: int = _PAGE
) -> Iterator[list[Row]]:
    """Yield the rows that meet an expression in the order of adding, some thousand at a time.

    The first request waits for all that was written before; the others see no less (where a
    collection has several replicas: no less than this process wrote).
    """
    total = count(server, expression, server.address.consistency)
    parts = [(*_ALL, total)]
    while parts:
        low, high, held = parts.pop()
        if not held:
            continue
        within = f"{low} <= seq and seq <= {high}"
        if held <= largest:
            try:
                rows = _fetch(server, _both(expression, within), fields, held)
            except TooLargeError:
                if held == 1:
                    raise
                largest = max(held // 2, 1)
            else:
                rows.sort(key=lambda row: int(row["seq"]))
                yield rows
                continue
        middle = (low + high) // 2
        older = f"{low} <= seq and seq <= {middle}"
        first = count(server, _both(expression, older), _later(server))
        # Newer first onto the stack: the older part comes off it first.
        parts.append((middle + 1, high, max(held - first, 0)))
        parts.append((low, middle, first))


def _fetch(server: Server, expression: str, fields: list[str], held: int) -> list[Row]:
    return list(
        server.call(
            "query",
            server.address.name,
            filter=expression,
            output_fields=fields,
            limit=held,
            consistency_level=_later(server),
        )
    )


def _later(server: Server) -> Consistency:
    """For the further requests of one call: what the first has waited for is there."""
    return "Session" if server.address.consistency == "Strong" else server.address.consistency


def _both(expression: str, other: str) -> str:
    return f"({expression}) and ({other})" if expression else other
