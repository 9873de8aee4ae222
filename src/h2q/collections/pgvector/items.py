"""Items in their table: written, removed and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from psycopg.sql import SQL, Identifier

from h2q._typing import CodeArray
from h2q.collections.base import Batch, Item, payload_of
from h2q.collections.inputs import Id
from h2q.collections.pgvector import ids as id_texts
from h2q.collections.pgvector.bits import codes_of
from h2q.collections.pgvector.conditions import Condition
from h2q.collections.pgvector.connection import Connection
from h2q.collections.pgvector.copying import COLUMNS, copy_stream
from h2q.collections.pgvector.schema import table_of
from h2q.errors import CollectionError


class Table(NamedTuple):
    """The table of a collection's items."""

    #: Of the collection.
    name: str
    n_bits: int
    #: Bytes a code.
    width: int

    @property
    def sql(self) -> Identifier:
        """The table's name in SQL."""
        return table_of(self.name)


def insert(
    connection: Connection,
    table: Table,
    ids: Sequence[Id],
    codes: CodeArray,
    payloads: Sequence[str | None],
    records: NDArray[np.uint8] | None,
) -> None:
    """Insert items, replacing those of the same id; the ids are all different.

    Inside the caller's transaction. `records`, shape (n, width), where the collection keeps some.
    """
    texts = [id_texts.to_text(item_id) for item_id in ids]
    encoded = id_texts.checked(ids, texts)
    before = _take_rows(connection, table, len(texts))
    if before:
        _delete(connection, table, texts)
    statement = SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        table.sql, SQL(", ").join(map(Identifier, COLUMNS))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy_stream(before + 1, table.n_bits, encoded, codes, payloads, records):
            copy.write(piece)


def remove(connection: Connection, table: Table, ids: Sequence[Id]) -> int:
    """Remove items by id, inside the caller's transaction; return how many were held."""
    _take_rows(connection, table, 0)
    return _delete(connection, table, [id_texts.to_text(item_id) for item_id in ids])


def lock(connection: Connection, table: Table) -> None:
    """Lock other writers out for the rest of the caller's transaction."""
    _take_rows(connection, table, 0)


def _take_rows(connection: Connection, table: Table, n: int) -> int:
    """Lock other writers out; return the row number after which `n` are now ours.

    The rest of the transaction finds items by the index of ids: to look for thousands of ids the
    server would rather read the whole table, which takes longer the larger it is.
    """
    row = connection.execute(
        "UPDATE h2q_collections SET last_row = last_row + %s WHERE name = %s "
        "RETURNING last_row, set_config('enable_seqscan', 'off', true)",
        (n, table.name),
        prepare=True,
    ).fetchone()
    if row is None:
        raise CollectionError(f"the collection {table.name!r} is not there any more; open it again")
    return int(row[0]) - n


def _delete(connection: Connection, table: Table, texts: list[str]) -> int:
    statement = SQL("DELETE FROM {} WHERE id = ANY(%s)").format(table.sql)
    return connection.execute(statement, (texts,)).rowcount


def count(connection: Connection, table: Table, condition: Condition) -> int:
    """Count the items whose payload meets a condition."""
    statement = SQL("SELECT count(*) FROM {} WHERE {}").format(table.sql, condition.sql)
    row = connection.execute(statement, condition.parameters).fetchone()
    return 0 if row is None else int(row[0])


def revision(connection: Connection, table: Table) -> str:
    """Return another text after every change: rows ever given out, and rows held.

    Both are of one snapshot. Row numbers ascend in the order of the commits, and none comes twice.
    """
    statement = SQL(
        "SELECT last_row, (SELECT count(*) FROM {}) FROM h2q_collections WHERE name = %s"
    ).format(table.sql)
    row = connection.execute(statement, (table.name,)).fetchone()
    return "gone" if row is None else f"{row[0]}-{row[1]}"


def read_items(connection: Connection, table: Table, ids: Sequence[Id]) -> list[Item | None]:
    """Items by id, in the order asked for."""
    texts = [id_texts.to_text(item_id) for item_id in ids]
    statement = SQL(
        "SELECT id, code, coalesce(payload_text, payload::text) FROM {} WHERE id = ANY(%s)"
    ).format(table.sql)
    rows = connection.cursor(binary=True).execute(statement, (list(set(texts)),)).fetchall()
    codes = codes_of([row[1] for row in rows], table.width)
    held = {
        row[0]: Item(id_texts.from_text(row[0]), code, payload_of(row[2]))
        for row, code in zip(rows, codes, strict=True)
    }
    return [held.get(text) for text in texts]


def read_batch(
    connection: Connection, table: Table, after: int, size: int, condition: Condition
) -> tuple[int, Batch] | None:
    """Items after row `after`: the last row and the items; None at the end."""
    statement = SQL(
        "SELECT row_number, id, code, coalesce(payload_text, payload::text) FROM {} "
        "WHERE row_number > %s AND {} ORDER BY row_number LIMIT %s"
    ).format(table.sql, condition.sql)
    parameters = (after, *condition.parameters, size)
    block = connection.cursor(binary=True).execute(statement, parameters).fetchall()
    if not block:
        return None
    rows, ids, codes, payloads = zip(*block, strict=True)
    return rows[-1], Batch(
        [id_texts.from_text(text) for text in ids],
        codes_of(codes, table.width),
        [payload_of(text) for text in payloads],
    )


def size_bytes(connection: Connection, table: Table) -> int:
    """Bytes the items and their indexes take on the server's disk."""
    row = connection.execute(
        "SELECT pg_total_relation_size(%s::regclass)", (table.sql.as_string(connection),)
    ).fetchone()
    return 0 if row is None else int(row[0])
