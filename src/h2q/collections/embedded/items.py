"""Items in SQLite: written, removed and read inside a transaction the caller holds."""

from __future__ import annotations

import operator
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.base import Batch, Item, Texts, payload_of
from h2q.collections.filters import Condition
from h2q.collections.inputs import Id
from h2q.errors import FormatError

#: Rows fetched at a time: more cost more, for Python's collector of garbage looks at them all.
_FETCH: Final = 4096
#: Rows of small values read at a time.
_AT_ONCE: Final = 10_000
_TEXTS: Final = 1000  # payloads read at a time that are only compared: a cache holds them
#: The removal log is cut once it is longer than this and than the items held.
_LEAST_LOG: Final = 100_000
#: Row numbers end where SQLite's do; so many left cannot be used up.
_MOST_ROWS: Final = 1 << 62


@dataclass(frozen=True)
class State:
    """Which version of the items a snapshot shows."""

    last_row: int
    removed: int
    forgotten: int

    @property
    def count(self) -> int:
        """Items held."""
        return self.last_row - self.removed


def read_state(connection: sqlite3.Connection) -> State:
    """Return the version of the items, without a scan."""
    row = connection.execute("SELECT last_row, removed, forgotten FROM state").fetchone()
    if (
        row is None
        or not all(type(n) is int for n in row)
        or not _MOST_ROWS >= row[0] >= row[1] >= row[2] >= 0
    ):
        raise FormatError(f"damaged: its state is {row}; restore it from a copy")
    return State(*row)


def insert(
    connection: sqlite3.Connection,
    ids: Sequence[Id],
    codes: CodeArray,
    payloads: Sequence[str | None],
    records: NDArray[np.uint8] | None = None,
) -> None:
    """Insert items, replacing those of the same id; the ids are all different.

    `records`, shape (n, width), where the collection keeps some.
    """
    state = read_state(connection)
    if state.count:
        remove(connection, ids)
    rows = range(state.last_row + 1, state.last_row + 1 + len(ids))
    connection.executemany(
        "INSERT INTO items (row, id, code, payload) VALUES (?, ?, ?, ?)",
        zip(rows, ids, _each(codes), payloads, strict=True),
    )
    if records is not None:
        connection.executemany(
            "INSERT INTO records VALUES (?, ?)", zip(rows, _each(records), strict=True)
        )
    connection.execute("UPDATE state SET last_row = last_row + ?", (len(ids),))


def _each(blobs: NDArray[np.uint8]) -> Iterator[bytes]:
    width, data = blobs.shape[1], blobs.tobytes()
    return (data[start : start + width] for start in range(0, len(data), width))


def remove(connection: sqlite3.Connection, ids: Sequence[Id]) -> int:
    """Remove items by id; return how many were held."""
    count = connection.executemany("DELETE FROM items WHERE id = ?", ((i,) for i in ids)).rowcount
    if not count:
        return 0
    state = read_state(connection)
    if state.removed - state.forgotten > max(_LEAST_LOG, state.count):
        forget_removals(connection)
    return count


def forget_removals(connection: sqlite3.Connection) -> None:
    """Empty the removal log; a reader that is behind reads all items anew."""
    connection.execute("DELETE FROM removals")
    connection.execute("UPDATE state SET forgotten = removed")


def read_codes(
    connection: sqlite3.Connection, after: int, width: int
) -> Iterator[tuple[NDArray[np.int64], CodeArray, Sequence[Id]]]:
    """Yield blocks of row numbers, codes and ids written after row `after`, in order."""
    statement = "SELECT row, code, id FROM items WHERE row > ? ORDER BY row"
    for rows, codes, ids in _blocks(connection, statement, after):
        yield np.array(rows, dtype=np.int64), _joined(codes, width), _checked_ids(ids)


def read_records(
    connection: sqlite3.Connection, after: int, width: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield blocks of row numbers and records written after row `after`, in order."""
    statement = "SELECT row, record FROM records WHERE row > ? ORDER BY row"
    for rows, records in _blocks(connection, statement, after):
        yield np.array(rows, dtype=np.int64), _joined(records, width)


def _blocks(
    connection: sqlite3.Connection, statement: str, after: int
) -> Iterator[tuple[tuple[Any, ...], ...]]:
    """Yield the columns of some thousand rows at a time."""
    cursor = connection.execute(statement, (after,))
    while block := cursor.fetchmany(_FETCH):
        columns = tuple(zip(*block, strict=True))
        # Pages that lead back to each other would give the same rows for ever.
        if columns[0][0] <= after or any(map(operator.ge, columns[0], columns[0][1:])):
            raise FormatError("damaged: its rows are out of order; restore it from a copy")
        after = columns[0][-1]
        yield columns


def _joined(blobs: Sequence[bytes], width: int) -> NDArray[np.uint8]:
    if set(map(type, blobs)) != {bytes} or set(map(len, blobs)) != {width}:
        raise FormatError(
            f"damaged: a code or a record is not {width} bytes long; restore it from a copy"
        )
    return np.frombuffer(b"".join(blobs), dtype=np.uint8).reshape(-1, width)


def _checked_ids(ids: Sequence[Any]) -> Sequence[Id]:
    odd = set(map(type, ids)) - {int, str}
    if odd:
        raise FormatError(
            f"damaged: an id is neither a whole number nor text but {odd.pop().__name__}; restore "
            "it from a copy"
        )
    return ids


def _row_numbers(rows: Sequence[tuple[Any]]) -> NDArray[np.int64]:
    if any(type(row) is not int for (row,) in rows):
        raise FormatError("damaged: a row number is no whole number; restore it from a copy")
    return np.array(rows, dtype=np.int64).reshape(-1)


def read_removals(connection: sqlite3.Connection, after: int) -> NDArray[np.int64]:
    """Rows removed after the removal number `after`."""
    cursor = connection.execute("SELECT row FROM removals WHERE seq > ?", (after,))
    return _row_numbers(cursor.fetchall())


def read_rows_where(
    connection: sqlite3.Connection, condition: Condition, after: int = 0
) -> NDArray[np.int64]:
    """Rows after row `after` whose payload meets a condition, ascending."""
    condition.prepare(connection)
    cursor = connection.execute(
        f"SELECT row FROM items WHERE row > ? AND {condition.sql} "  # noqa: S608 (no user text)
        "ORDER BY row",
        (after, *condition.parameters),
    )
    return _row_numbers(cursor.fetchall())


def count_where(connection: sqlite3.Connection, condition: Condition) -> int:
    """Count the items whose payload meets a condition."""
    condition.prepare(connection)
    statement = f"SELECT count(*) FROM items WHERE {condition.sql}"  # noqa: S608 (no user text)
    count: int = connection.execute(statement, condition.parameters).fetchone()[0]
    return count


def read_item(connection: sqlite3.Connection, item_id: Id) -> Item | None:
    """One item by id."""
    statement = "SELECT id, code, payload FROM items WHERE id = ?"
    found = connection.execute(statement, (item_id,)).fetchone()
    if found is None:
        return None
    if not isinstance(found[1], bytes):
        raise FormatError("damaged: a code is no blob; restore it from a copy")
    return Item(found[0], np.frombuffer(found[1], dtype=np.uint8), payload_of(found[2]))


def read_batch(
    connection: sqlite3.Connection, after: int, size: int, width: int, condition: Condition
) -> tuple[int, Batch] | None:
    """Items after row `after`: the last row and the items; None at the end."""
    condition.prepare(connection)
    block = connection.execute(
        "SELECT row, id, code, payload FROM items "  # noqa: S608 (no user text)
        f"WHERE row > ? AND {condition.sql} ORDER BY row LIMIT ?",
        (after, *condition.parameters, size),
    ).fetchall()
    if not block:
        return None
    rows, ids, codes, payloads = zip(*block, strict=True)
    held = [payload_of(text) for text in payloads]
    return rows[-1], Batch(list(_checked_ids(ids)), _joined(codes, width), held)


def read_texts(
    connection: sqlite3.Connection, after: int, condition: Condition
) -> tuple[int, Texts] | None:
    """Return the last row, and payloads as JSON, of some items after row `after`, if any."""
    condition.prepare(connection)
    found = connection.execute(
        "SELECT row, id, payload FROM items "  # noqa: S608 (no user text)
        f"WHERE row > ? AND {condition.sql} ORDER BY row LIMIT ?",
        (after, *condition.parameters, _TEXTS),
    ).fetchall()
    if not found:
        return None
    rows, ids, texts = zip(*found, strict=True)
    return int(rows[-1]), Texts(_checked_ids(ids), texts)
