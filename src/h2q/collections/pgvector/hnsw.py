"""The HNSW index over the codes: its options, making it, and the settings of a search by it.

What it finds is not always the nearest. pgvector's `ef_search` alone would also cap the rows a
search returns, so searches scan on ("iterative scan", pgvector 0.8) until they have enough; where
even that ends too early, the collection scans all items instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from h2q.collections.pgvector.connection import Connection
from h2q.errors import CompatibilityError, InvalidInputError

#: As pgvector allows them.
_RANGES: Final = {"m": (2, 100), "ef_construction": (4, 1000), "ef_search": (1, 1000)}
_MOST_EF_SEARCH: Final = 1000
_MOST_BITS: Final = 64_000
# A scan of the whole table would be chosen for small ones: who asks for the index wants its times.
_SETTINGS: Final = """
SELECT set_config('enable_seqscan', 'off', true),
       set_config('hnsw.ef_search', %s, true),
       set_config('hnsw.iterative_scan', 'strict_order', true)
"""


@dataclass(frozen=True)
class IndexOptions:
    """Options of the index; the defaults are pgvector's, but for a wider search.

    Attributes
    ----------
    m : int
        Links of an item in each layer of the graph.
    ef_construction : int
        Candidates looked at when an item is linked.
    ef_search : int
        Candidates looked at by a search.
    """

    m: int = 16
    ef_construction: int = 64
    ef_search: int = 100


def as_options(
    given: Mapping[str, int] | None, held: Mapping[str, int], n_bits: int
) -> IndexOptions:
    """Check the options given, and fill them up with those the collection has.

    Raises
    ------
    InvalidInputError
        If one is unknown or outside of what pgvector allows.
    """
    asked = dict(given or {})
    for name, value in asked.items():
        if name not in _RANGES:
            raise InvalidInputError(
                f"unknown option {name!r} of an hnsw index; there are {', '.join(_RANGES)}"
            )
        least, most = _RANGES[name]
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or not least <= value <= most:
            raise InvalidInputError(
                f"{name} must be a whole number from {least} to {most}, got {value!r}"
            )
        asked[name] = int(value)
    options = IndexOptions(**{**held, **asked})
    if options.ef_construction < 2 * options.m:
        raise InvalidInputError(
            f"ef_construction must be at least twice m (pgvector), got {options.ef_construction} "
            f"and m={options.m}"
        )
    if n_bits > _MOST_BITS:
        raise InvalidInputError(
            f"pgvector indexes codes of at most {_MOST_BITS} bits, got {n_bits}; use index='flat'"
        )
    return options


def check_same_graph(shown: str, options: IndexOptions, held: Mapping[str, int]) -> None:
    """Refuse options that are not those the index was made with; `ef_search` is free."""
    for name in ("m", "ef_construction"):
        wanted = asdict(options)[name]
        if held.get(name, wanted) != wanted:
            raise CompatibilityError(
                f"{shown}: its hnsw index was made with {name}={held[name]}, {name}={wanted} was "
                "asked for; leave it out, or make another collection"
            )


def build(connection: Connection, name: str, table: Identifier, options: IndexOptions) -> None:
    """Make the index inside the caller's transaction, and note it."""
    connection.execute(
        SQL(
            "CREATE INDEX {} ON {} USING hnsw (code bit_hamming_ops) "
            "WITH (m = {}, ef_construction = {})"
        ).format(Identifier(f"h2q_{name}_hnsw"), table, options.m, options.ef_construction)
    )
    connection.execute(
        "UPDATE h2q_collections SET index = 'hnsw', index_options = %s WHERE name = %s",
        (Jsonb(asdict(options)), name),
    )


def set_up_search(connection: Connection, length: int, ef_search: int) -> None:
    """Let the searches of this transaction go by the index and find `length` items."""
    wide = min(max(length, ef_search), _MOST_EF_SEARCH)
    connection.execute(_SETTINGS, (str(wide),))
