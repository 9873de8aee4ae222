"""Looks of photos that were taken once, in a file beside the collection (`photos.h2q.looks`).

They are kept by the SHA-256 of the photo's file, so none can be stale: a photo that was moved or
renamed keeps its own, one that was changed has none yet. Without the file nothing is lost but time.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from h2q._closing import Closing
from h2q.duplicates.looks import Look

_VERSION: Final = 1
_CHUNK: Final = 500


class LookCache(Closing):
    """Reads and writes the looks beside a collection.

    Parameters
    ----------
    collection : str
        A file; beside a server's collection (`scheme://...`) nothing can be kept.
    """

    def __init__(self, collection: str) -> None:
        self._connection: sqlite3.Connection | None = None
        if "://" in collection or not Path(collection).is_file():
            return
        path = Path(f"{collection}.looks")
        try:
            self._connection = _open(path)
        except sqlite3.DatabaseError:
            # Damaged, or of another version: it is made anew, where that is possible.
            with contextlib.suppress(OSError, sqlite3.DatabaseError):
                path.unlink(missing_ok=True)
                self._connection = _open(path)

    def get(self, digests: Iterable[str]) -> dict[str, Look]:
        """Return the looks that are kept, by the SHA-256 of the file."""
        found: dict[str, Look] = {}
        if self._connection is None:
            return found
        wanted = list(digests)
        for start in range(0, len(wanted), _CHUNK):
            part = wanted[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            query = f"SELECT sha256, look FROM looks WHERE sha256 IN ({marks})"  # noqa: S608
            try:
                rows = self._connection.execute(query, part).fetchall()
            except sqlite3.DatabaseError:
                return found
            for digest, data in rows:
                with contextlib.suppress(ValueError, TypeError):
                    found[digest] = Look.from_bytes(data)
        return found

    def put(self, looks: Mapping[str, Look]) -> None:
        """Keep looks, if that is possible."""
        if self._connection is None:
            return
        rows = [(digest, look.to_bytes()) for digest, look in looks.items()]
        with contextlib.suppress(sqlite3.DatabaseError), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO looks VALUES (?, ?)", rows)

    def keep_only(self, digests: Iterable[str]) -> None:
        """Forget the looks of other photos than these."""
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.DatabaseError), self._connection:
            kept = set(digests)
            held = self._connection.execute("SELECT sha256 FROM looks").fetchall()
            gone = [(digest,) for (digest,) in held if digest not in kept]
            self._connection.executemany("DELETE FROM looks WHERE sha256 = ?", gone)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError("another version")
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS looks (sha256 TEXT PRIMARY KEY, look BLOB NOT NULL)"
                " WITHOUT ROWID"
            )
            connection.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection
