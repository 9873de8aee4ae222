"""Open a collection in PostgreSQL, or make one; refuse what does not fit it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from h2q._typing import StrPath
from h2q.collections.base import Decoder, IndexKind, Keep, Quantizer
from h2q.collections.pgvector import artifacts, hnsw, schema
from h2q.collections.pgvector.address import parse_address
from h2q.collections.pgvector.collection import PgvectorCollection
from h2q.collections.pgvector.connection import Link, check_timeout
from h2q.collections.wanted import Wanted, as_wanted, check_fit
from h2q.errors import CollectionError, InvalidInputError


def open_checked(
    uri: str,
    *,
    n_bits: int | None = None,
    quantizer: Quantizer | None = None,
    model: StrPath | bytes | None = None,
    decoder: Decoder | None = None,
    mode: Literal["a", "r"] = "a",
    keep: Keep | None = None,
    index: IndexKind | None = None,
    index_options: Mapping[str, int] | None = None,
    timeout: float | None = None,
) -> PgvectorCollection:
    """Open the collection at the address `uri`, psycopg being there; see `h2q.open_collection`.

    `index="hnsw"` makes the index where the collection has none yet, and `index="flat"` searches
    exactly, whether there is one or not. None: by the index, if there is one.
    """
    if mode not in ("a", "r"):
        raise InvalidInputError(f"mode is 'a' (read and write) or 'r' (read), got {mode!r}")
    if index not in (None, "flat", "hnsw"):
        raise InvalidInputError(
            f"a collection in PostgreSQL has index='flat' or 'hnsw', got {index!r}"
        )
    if index == "flat" and index_options:
        raise InvalidInputError("index='flat' has no index_options; leave them out")
    wanted = as_wanted(n_bits, quantizer, model, keep, decoder)
    address = parse_address(uri)
    link = Link(address, read_only=mode == "r", timeout=check_timeout(timeout))
    try:
        made = _found_or_made(link, address.collection, wanted, mode, index, index_options)
        with link.statements() as connection:
            kept = artifacts.fingerprints(connection, made.name)
        check_fit(link.shown, wanted, n_bits=made.n_bits, keep=made.keep, fingerprints=kept)
        made, options = _indexed(link, made, index, index_options)
    except BaseException:
        link.close()
        raise
    return PgvectorCollection(link, mode, made, options)


def _found_or_made(
    link: Link,
    name: str,
    wanted: Wanted,
    mode: str,
    index: IndexKind | None,
    index_options: Mapping[str, int] | None,
) -> schema.Made:
    with link.statements() as connection:
        made = schema.read(connection, name, link.shown)
    if made is not None:
        return made
    if mode == "r":
        raise CollectionError(f"{link.shown}: there is no such collection to read")
    if not wanted.n_bits:
        raise CollectionError(
            f"{link.shown}: there is no such collection; give n_bits, a quantizer or a model to "
            "make one"
        )
    n_bits = next(iter(wanted.n_bits.values()))
    if index_options and index != "hnsw":
        raise InvalidInputError("index_options belong to index='hnsw'; give both")
    options = hnsw.as_options(index_options, {}, n_bits) if index == "hnsw" else None
    with link.writing() as connection:
        schema.lock_makers(connection)
        # Another client may have made it meanwhile; it is checked as any other.
        made = schema.read(connection, name, link.shown)
        if made is None:
            schema.ensure_extension(connection, link.shown)
            schema.create(connection, name, n_bits, wanted.keep or "codes", options)
            for artifact, source in wanted.sources.items():
                artifacts.store(connection, name, artifact, source)
            made = schema.read(connection, name, link.shown)
    if made is None:
        raise CollectionError(f"{link.shown}: the collection was dropped while it was made")
    return made


def _indexed(
    link: Link,
    made: schema.Made,
    index: IndexKind | None,
    index_options: Mapping[str, int] | None,
) -> tuple[schema.Made, hnsw.IndexOptions | None]:
    """Decide how to search, and make the index asked for."""
    if index == "flat" or (index is None and made.index == "flat" and not index_options):
        return made, None
    if index is None and made.index == "flat":
        raise InvalidInputError("index_options belong to index='hnsw'; give both")
    options = hnsw.as_options(index_options, made.index_options, made.n_bits)
    if made.index == "hnsw":
        hnsw.check_same_graph(link.shown, options, made.index_options)
        return made, options
    with link.writing() as connection:
        schema.lock_makers(connection)
        again = schema.read(connection, made.name, link.shown)
        if again is not None and again.index == "flat":
            hnsw.build(connection, made.name, schema.table_of(made.name), options)
        made = schema.read(connection, made.name, link.shown) or made
    hnsw.check_same_graph(link.shown, options, made.index_options)
    return made, options
