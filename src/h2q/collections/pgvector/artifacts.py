"""Files kept with a collection, such as the quantizer and the model that made its codes.

In chunks, so that a model of hundreds of megabytes is never held whole in memory, with a checksum
by which they are proven whole when they are read, and a fingerprint by which two are compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from h2q.collections.artifacts import ArtifactFacts, Source, fingerprint, opened
from h2q.collections.pgvector.connection import Connection

_CHUNK_BYTES: Final = 1 << 20


def store(connection: Connection, collection: str, name: str, source: Source) -> None:
    """Write an artifact inside the caller's transaction."""
    digest, position = hashlib.sha256(), 0
    connection.execute(
        "INSERT INTO h2q_artifacts VALUES (%s, %s, %s, '')", (collection, name, fingerprint(source))
    )
    with opened(source) as file:
        while chunk := file.read(_CHUNK_BYTES):
            connection.execute(
                "INSERT INTO h2q_artifact_chunks VALUES (%s, %s, %s, %b)",
                (collection, name, position, chunk),
            )
            digest.update(chunk)
            position += 1
    connection.execute(
        "UPDATE h2q_artifacts SET sha256 = %s WHERE collection = %s AND name = %s",
        (digest.hexdigest(), collection, name),
    )


def facts(connection: Connection, collection: str) -> dict[str, ArtifactFacts]:
    """Return what is stated of each artifact held."""
    rows = connection.execute(
        "SELECT name, fingerprint, sha256 FROM h2q_artifacts WHERE collection = %s ORDER BY name",
        (collection,),
    )
    return {name: ArtifactFacts(fingerprint, sha256) for name, fingerprint, sha256 in rows}


def chunks(connection: Connection, collection: str, name: str) -> Iterator[bytes]:
    """Yield the content of an artifact."""
    position = 0
    while True:
        row = (
            connection.cursor(binary=True)
            .execute(
                "SELECT data FROM h2q_artifact_chunks "
                "WHERE collection = %s AND name = %s AND position = %s",
                (collection, name, position),
            )
            .fetchone()
        )
        if row is None:
            return
        yield row[0]
        position += 1
