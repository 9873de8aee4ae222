"""The tables of collections in a database.

Shared by all collections of a database, in the first schema of its search path:

- `h2q_collections`: a row a collection: what it is made of, and `last_row`, the highest row number
  ever given out. Who writes locks this row, so writers of a collection wait for each other and row
  numbers ascend in the order of the commits.
- `h2q_artifacts`, `h2q_artifact_chunks`: quantizers and models.

And for each collection `h2q_NAME_items`. Its rows are numbered by `last_row`: a replaced item has a
new number, so their order is the order of adding.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from h2q._foreign import reading
from h2q._version import __version__
from h2q.codes import BIT_ORDER
from h2q.collections.index_spec import IndexSpec
from h2q.collections.pgvector import tables
from h2q.collections.pgvector.connection import Connection
from h2q.collections.pgvector.hnsw import build
from h2q.errors import CollectionError, CompatibilityError
from h2q.ranks import KEEPS, Keep

FORMAT_VERSION: Final = 1
#: Those who make a collection wait for each other by this lock ("h2q").
_MAKERS_LOCK: Final = 0x683271
#: The first pgvector with the Hamming distance of `bit`.
_LEAST_VECTOR: Final = (0, 7)

_SHARED: Final = """
CREATE TABLE IF NOT EXISTS h2q_collections (
    name           text PRIMARY KEY,
    format_version int NOT NULL,
    n_bits         int NOT NULL,
    bit_order      text NOT NULL,
    keep           text NOT NULL,
    index          text NOT NULL,
    index_options  jsonb NOT NULL,
    created_by     text NOT NULL,
    last_row       bigint NOT NULL
);
CREATE TABLE IF NOT EXISTS h2q_artifacts (
    collection  text NOT NULL REFERENCES h2q_collections ON DELETE CASCADE,
    name        text NOT NULL,
    fingerprint text NOT NULL,
    sha256      text NOT NULL,
    PRIMARY KEY (collection, name)
);
CREATE TABLE IF NOT EXISTS h2q_artifact_chunks (
    collection text NOT NULL,
    name       text NOT NULL,
    position   int NOT NULL,
    data       bytea NOT NULL,
    PRIMARY KEY (collection, name, position),
    FOREIGN KEY (collection, name) REFERENCES h2q_artifacts ON DELETE CASCADE
);
"""

# Ids are ASCII-ordered text (`ids.py`); `payload_text` only where jsonb loses something.
_ITEMS: Final = """
CREATE TABLE {table} (
    row_number   bigint NOT NULL CONSTRAINT {by_row} PRIMARY KEY,
    code         bit({n_bits}) NOT NULL,
    id           text COLLATE "C" NOT NULL CONSTRAINT {by_id} UNIQUE,
    payload      jsonb,
    payload_text text,
    record       bytea
)
"""


_SHARED_TABLES: Final = {
    "h2q_collections": {
        "name": "text", "format_version": "integer", "n_bits": "integer", "bit_order": "text",
        "keep": "text", "index": "text", "index_options": "jsonb", "created_by": "text",
        "last_row": "bigint",
    },
    "h2q_artifacts": {
        "collection": "text", "name": "text", "fingerprint": "text", "sha256": "text",
    },
    "h2q_artifact_chunks": {
        "collection": "text", "name": "text", "position": "integer", "data": "bytea",
    },
}  # fmt: skip
_ITEMS_COLUMNS: Final = {
    "row_number": "bigint", "id": "text", "payload": "jsonb", "payload_text": "text",
    "record": "bytea",
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """What a collection is made of, as its row in `h2q_collections` says."""

    name: str
    n_bits: int
    keep: Keep
    index: IndexSpec
    created_by: str


def table_of(name: str) -> Identifier:
    """Table of a collection's items."""
    return Identifier(f"h2q_{name}_items")


def read(connection: Connection, name: str, shown: str) -> Made | None:
    """Say what a collection is made of; None where there is none of that name.

    Raises
    ------
    FormatError, CompatibilityError
        If it is not one this h2q reads.
    """
    known = tables.read(connection, [*_SHARED_TABLES, f"h2q_{name}_items"])
    if "h2q_collections" not in known:
        return None
    for table in _SHARED_TABLES:
        tables.check(known, table, _SHARED_TABLES[table], shown)
    row = connection.execute(
        "SELECT format_version, n_bits, bit_order, keep, index, index_options, created_by "
        "FROM h2q_collections WHERE name = %s",
        (name,),
    ).fetchone()
    if row is None:
        return None
    version, n_bits, bit_order, keep, index, options, created_by = row
    if version != FORMAT_VERSION:
        raise CompatibilityError(
            f"{shown}: the collection has format version {version}, this h2q reads version "
            f"{FORMAT_VERSION}; open it with the h2q that made it ({created_by}), or upgrade h2q"
        )
    if bit_order != BIT_ORDER or keep not in KEEPS:
        raise CompatibilityError(
            f"{shown}: its bit order is {bit_order!r} and it keeps {keep!r}; this h2q reads "
            f"{BIT_ORDER!r} and {', '.join(KEEPS)}; upgrade h2q"
        )
    # Also bounds what is claimed of the length of a code: by the table, of which the server knows.
    tables.check(known, f"h2q_{name}_items", _ITEMS_COLUMNS | {"code": f"bit({n_bits})"}, shown)
    with reading(shown, "a collection of h2q", tables.REMEDY):
        stated = IndexSpec.from_json(json.dumps({"kind": index, "options": options}), shown)
    return Made(name, n_bits, keep, stated, created_by)


def lock_makers(connection: Connection) -> None:
    """Let no one else make a collection or an index before this transaction ends."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKERS_LOCK,))


def create(connection: Connection, name: str, n_bits: int, keep: Keep, index: IndexSpec) -> None:
    """Lay out an empty collection inside the caller's transaction, which has locked makers out."""
    connection.execute(_SHARED.encode())
    table = table_of(name)
    connection.execute(
        SQL(_ITEMS).format(
            table=table,
            n_bits=n_bits,
            by_row=Identifier(f"h2q_{name}_row"),
            by_id=Identifier(f"h2q_{name}_id"),
        )
    )
    connection.execute(
        "INSERT INTO h2q_collections VALUES (%s, %s, %s, %s, %s, 'flat', %s, %s, 0)",
        (name, FORMAT_VERSION, n_bits, BIT_ORDER, keep, Jsonb({}), __version__),
    )
    if index.kind == "hnsw":
        build(connection, name, table, index)


def ensure_extension(connection: Connection, shown: str) -> None:
    """Have the database's pgvector extension, or say how to get it.

    Raises
    ------
    CollectionError
        If it is absent and cannot be made here, or too old.
    """
    version = _vector_version(connection)
    if version is None:
        try:
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        except psycopg.Error as error:
            if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
                raise
            raise CollectionError(
                f"{shown}: the database has no pgvector extension, and it cannot be made here "
                f"({error.diag.message_primary}). Install pgvector on the server, and run once as "
                "a superuser of this database: CREATE EXTENSION vector"
            ) from error
        version = _vector_version(connection)
    if version is None or version < _LEAST_VECTOR:
        raise CollectionError(
            f"{shown}: the database has pgvector {_dotted(version)}, h2q needs "
            f"{_dotted(_LEAST_VECTOR)} or newer; upgrade it on the server and run: ALTER EXTENSION "
            "vector UPDATE"
        )


def _vector_version(connection: Connection) -> tuple[int, ...] | None:
    found: tuple[Any, ...] | None = connection.execute(
        "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
    ).fetchone()
    if found is None:
        return None
    return tuple(int(part) for part in str(found[0]).split(".") if part.isdecimal())


def _dotted(version: tuple[int, ...] | None) -> str:
    return ".".join(str(part) for part in version or ())
