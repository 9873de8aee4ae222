"""Files kept inside the collection, such as the quantizer and the model that made its codes.

Stored in chunks, so that a model of hundreds of megabytes is never held whole in memory, with a
checksum by which they are proven whole when they are read, and a fingerprint by which two are
compared.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from typing import Final

from h2q.collections.artifacts import ArtifactFacts, Source, fingerprint, opened
from h2q.errors import FormatError

_CHUNK_BYTES: Final = 1 << 20


def store(connection: sqlite3.Connection, name: str, source: Source) -> None:
    """Write an artifact inside the caller's transaction."""
    digest, size = hashlib.sha256(), 0
    with opened(source) as file:
        position = 0
        while chunk := file.read(_CHUNK_BYTES):
            connection.execute(
                "INSERT INTO artifact_chunks VALUES (?, ?, ?)", (name, position, chunk)
            )
            digest.update(chunk)
            size += len(chunk)
            position += 1
    connection.execute(
        "INSERT INTO artifacts VALUES (?, ?, ?, ?)",
        (name, fingerprint(source), digest.hexdigest(), size),
    )


def facts(connection: sqlite3.Connection) -> dict[str, ArtifactFacts]:
    """Return what is stated of each artifact held."""
    statement = "SELECT name, fingerprint, sha256 FROM artifacts ORDER BY name LIMIT 100"
    rows = connection.execute(statement)
    return {str(name): ArtifactFacts(str(mark), str(digest)) for name, mark, digest in rows}


def chunks(connection: sqlite3.Connection, name: str) -> Iterator[bytes]:
    """Yield the content of an artifact."""
    statement = "SELECT data FROM artifact_chunks WHERE name = ? ORDER BY position"
    for (chunk,) in connection.execute(statement, (name,)):
        if not isinstance(chunk, bytes):
            raise FormatError(f"the {name} in the collection is damaged: a part of it is no blob")
        yield chunk
