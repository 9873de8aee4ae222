"""Files kept inside the collection, such as the quantizer and the model that made its codes.

Stored in chunks, so that a model of hundreds of megabytes is never held whole in memory, with a
checksum that is verified when they are read, and a fingerprint by which two are compared.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from h2q._files import written_whole
from h2q.collections.sources import Source, fingerprint, opened
from h2q.errors import FormatError, InvalidInputError

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


def fingerprints(connection: sqlite3.Connection) -> dict[str, str]:
    """Fingerprint of each artifact held."""
    return dict(connection.execute("SELECT name, fingerprint FROM artifacts ORDER BY name"))


def read(connection: sqlite3.Connection, name: str) -> bytes | None:
    """Return an artifact whole, or None where none of that name is held."""
    if name not in fingerprints(connection):
        return None
    return b"".join(_chunks(connection, name))


def write_file(connection: sqlite3.Connection, name: str, target: Path) -> None:
    """Write an artifact to a file, whole or not at all."""
    if name not in fingerprints(connection):
        raise InvalidInputError(f"the collection holds no {name}")
    with written_whole(target) as file:
        for chunk in _chunks(connection, name):
            file.write(chunk)


def _chunks(connection: sqlite3.Connection, name: str) -> Iterator[bytes]:
    digest = hashlib.sha256()
    statement = "SELECT data FROM artifact_chunks WHERE name = ? ORDER BY position"
    for (chunk,) in connection.execute(statement, (name,)):
        digest.update(chunk)
        yield chunk
    statement = "SELECT sha256 FROM artifacts WHERE name = ?"
    if digest.hexdigest() != connection.execute(statement, (name,)).fetchone()[0]:
        raise FormatError(f"the {name} in the collection is damaged: its checksum differs")
