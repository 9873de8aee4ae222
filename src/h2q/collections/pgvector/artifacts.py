"""Files kept with a collection, such as the quantizer and the model that made its codes.

In chunks, so that a model of hundreds of megabytes is never held whole in memory, with a checksum
that is verified when they are read, and a fingerprint by which two are compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from h2q._files import written_whole
from h2q.collections.pgvector.connection import Connection
from h2q.collections.sources import Source, fingerprint, opened
from h2q.errors import FormatError, InvalidInputError

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


def fingerprints(connection: Connection, collection: str) -> dict[str, str]:
    """Fingerprint of each artifact held."""
    rows = connection.execute(
        "SELECT name, fingerprint FROM h2q_artifacts WHERE collection = %s ORDER BY name",
        (collection,),
    )
    return dict(rows.fetchall())


def read(connection: Connection, collection: str, name: str) -> bytes | None:
    """Return an artifact whole, or None where none of that name is held."""
    digest = _digest(connection, collection, name)
    return None if digest is None else b"".join(_chunks(connection, collection, name, digest))


def write_file(connection: Connection, collection: str, name: str, target: Path) -> None:
    """Write an artifact to a file, whole or not at all."""
    digest = _digest(connection, collection, name)
    if digest is None:
        raise InvalidInputError(f"the collection holds no {name}")
    with written_whole(target) as file:
        for chunk in _chunks(connection, collection, name, digest):
            file.write(chunk)


def _digest(connection: Connection, collection: str, name: str) -> str | None:
    row = connection.execute(
        "SELECT sha256 FROM h2q_artifacts WHERE collection = %s AND name = %s", (collection, name)
    ).fetchone()
    return None if row is None else str(row[0])


def _chunks(connection: Connection, collection: str, name: str, wanted: str) -> Iterator[bytes]:
    digest, position = hashlib.sha256(), 0
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
            break
        digest.update(row[0])
        yield row[0]
        position += 1
    if digest.hexdigest() != wanted:
        raise FormatError(f"the {name} in the collection is damaged: its checksum differs")
