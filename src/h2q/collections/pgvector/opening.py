"""Open a collection in PostgreSQL, or make one; refuse what does not fit it."""

from __future__ import annotations

from h2q.collections.index_spec import IndexSpec
from h2q.collections.pgvector import artifacts, hnsw, schema
from h2q.collections.pgvector.address import parse_address
from h2q.collections.pgvector.collection import PgvectorCollection
from h2q.collections.pgvector.connection import Link
from h2q.collections.request import Facts, OpenRequest
from h2q.errors import CollectionError


def open_checked(uri: str, request: OpenRequest) -> PgvectorCollection:
    """Open the collection at the address `uri`, psycopg being there; see `h2q.open_collection`."""
    address = parse_address(uri)
    link = Link(address, read_only=request.mode == "r", timeout=request.timeout)
    try:
        made = _found_or_made(link, address.collection, request)
        with link.statements() as connection:
            kept = artifacts.facts(connection, made.name)
        request.check_fit(link.shown, n_bits=made.n_bits, keep=made.keep, artifacts=kept)
        index = _indexed(link, made, request)
    except BaseException:
        link.close()
        raise
    facts = Facts(
        "pgvector", schema.FORMAT_VERSION, made.n_bits, made.keep, index, kept, made.created_by
    )
    return PgvectorCollection(link, request.mode, made.name, facts, request.learner)


def _found_or_made(link: Link, name: str, request: OpenRequest) -> schema.Made:
    with link.statements() as connection:
        made = schema.read(connection, name, link.shown)
    if made is not None:
        return made
    n_bits = request.to_make(link.shown)
    index = request.new_index("pgvector")
    hnsw.check_possible(index, n_bits)
    with link.writing() as connection:
        schema.lock_makers(connection)
        # Another client may have made it meanwhile; it is checked as any other.
        made = schema.read(connection, name, link.shown)
        if made is None:
            schema.ensure_extension(connection, link.shown)
            schema.create(connection, name, n_bits, request.keep or "codes", index)
            for artifact, source in request.sources.items():
                artifacts.store(connection, name, artifact, source)
            made = schema.read(connection, name, link.shown)
    if made is None:
        raise CollectionError(f"{link.shown}: the collection was dropped while it was made")
    return made


def _indexed(link: Link, made: schema.Made, request: OpenRequest) -> IndexSpec:
    """Decide how to search, and make the index asked for where there is none."""
    found = request.reopened_index("pgvector", link.shown, made.index)
    hnsw.check_possible(found.used, made.n_bits)
    if found.stated.kind == made.index.kind:
        return found.used
    with link.without_haste(), link.writing() as connection:
        schema.lock_makers(connection)
        again = schema.read(connection, made.name, link.shown)
        if again is not None and again.index.kind == "flat":
            hnsw.build(connection, made.name, schema.table_of(made.name), found.stated)
            return found.used
    # Another client made it meanwhile: its options count.
    with link.statements() as connection:
        made = schema.read(connection, made.name, link.shown) or made
    return request.reopened_index("pgvector", link.shown, made.index).used
