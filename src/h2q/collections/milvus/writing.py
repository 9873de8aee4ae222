"""Items sent to a server and taken from it, in requests it accepts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.inputs import Id
from h2q.collections.milvus.paging import Row
from h2q.collections.milvus.rows import size_of, to_rows
from h2q.collections.milvus.sequence import next_numbers
from h2q.collections.milvus.server import Server
from h2q.errors import CollectionError

#: A server takes 64 MB a request.
_MOST_BYTES: Final = 32 << 20
_MOST_ROWS: Final = 100_000
_MOST_DELETED: Final = 4096


def upsert(
    server: Server,
    ids: Sequence[Id],
    codes: CodeArray,
    payloads: Sequence[str | None],
    records: NDArray[np.uint8] | None,
) -> None:
    """Insert items, replacing those of the same id; the ids are all different.

    A repeated request writes the same rows with the same numbers, so it may be tried again.

    Raises
    ------
    InvalidInputError
        If an item is too large for the server; nothing is sent then.
    CollectionError
        If a request failed; it says how many items were written before.
    """
    written = 0
    rows = to_rows(ids, next_numbers(len(ids)), codes, payloads, records)
    for part in _parts(rows):
        try:
            server.call("upsert", server.address.name, part)
        except CollectionError as error:
            if not written:
                raise
            raise CollectionError(
                f"{error}; of {len(ids)} items the first {written} were added: repeat the call"
            ) from error
        written += len(part)


def _parts(rows: list[Row]) -> Iterator[list[Row]]:
    start, size = 0, 0
    for position, row in enumerate(rows):
        more = size_of(row)
        if position > start and (size + more > _MOST_BYTES or position - start == _MOST_ROWS):
            yield rows[start:position]
            start, size = position, 0
        size += more
    if rows:
        yield rows[start:]


def delete(server: Server, keys: Sequence[str]) -> None:
    """Delete the rows of these primary keys."""
    for start in range(0, len(keys), _MOST_DELETED):
        part = listed(keys[start : start + _MOST_DELETED])
        server.call("delete", server.address.name, filter=f"id in [{part}]")


def listed(keys: Sequence[str]) -> str:
    """Primary keys as the elements of a list in an expression; they need no escapes."""
    return ", ".join(f'"{key}"' for key in keys)
