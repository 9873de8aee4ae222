"""The HNSW index over the codes: its options, making it, and the settings of a search by it.

What it finds is not always the nearest. pgvector's `ef_search` alone would also cap the rows a
search returns, so searches scan on ("iterative scan", pgvector 0.8) until they have enough; where
even that ends too early, the collection scans all items instead.
"""

from __future__ import annotations

from typing import Final

from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from h2q.collections.index_spec import IndexSpec
from h2q.collections.pgvector.connection import Connection
from h2q.errors import InvalidInputError

_MOST_EF_SEARCH: Final = 1000
_MOST_BITS: Final = 64_000
# A scan of the whole table would be chosen for small ones: who asks for the index wants its times.
_SETTINGS: Final = """
SELECT set_config('enable_seqscan', 'off', true),
       set_config('hnsw.ef_search', %s, true),
       set_config('hnsw.iterative_scan', 'strict_order', true)
"""


def check_possible(index: IndexSpec, n_bits: int) -> None:
    """Refuse an index that pgvector would not make."""
    if index.kind != "hnsw":
        return
    if index.option("ef_construction") < 2 * index.option("m"):
        raise InvalidInputError(
            "ef_construction must be at least twice m (pgvector), got "
            f"{index.option('ef_construction')} and m={index.option('m')}"
        )
    if n_bits > _MOST_BITS:
        raise InvalidInputError(
            f"pgvector indexes codes of at most {_MOST_BITS} bits, got {n_bits}; use index='flat'"
        )


def stated(index: IndexSpec) -> dict[str, int]:
    """Options as they are stated in the database, the defaults among them."""
    names = ("m", "ef_construction", "ef_search")
    return {name: index.option(name) for name in names} if index.kind == "hnsw" else {}


def build(connection: Connection, name: str, table: Identifier, index: IndexSpec) -> None:
    """Make the index inside the caller's transaction, and note it."""
    connection.execute(
        SQL(
            "CREATE INDEX {} ON {} USING hnsw (code bit_hamming_ops) "
            "WITH (m = {}, ef_construction = {})"
        ).format(
            Identifier(f"h2q_{name}_hnsw"),
            table,
            index.option("m"),
            index.option("ef_construction"),
        )
    )
    connection.execute(
        "UPDATE h2q_collections SET index = 'hnsw', index_options = %s WHERE name = %s",
        (Jsonb(stated(index)), name),
    )


def set_up_search(connection: Connection, length: int, ef_search: int) -> None:
    """Let the searches of this transaction go by the index and find `length` items."""
    wide = min(max(length, ef_search), _MOST_EF_SEARCH)
    connection.execute(_SETTINGS, (str(wide),))
