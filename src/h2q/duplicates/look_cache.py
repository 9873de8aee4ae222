"""What was seen of photos once, in a file beside the collection (`photos.h2q.looks`).

Looks, and what comparing two photos showed, or a photo and copies made of it. It is kept by the
SHA-256 of the photos' files, so nothing can be stale: a photo that was moved or renamed keeps its
own, one that was changed has none yet. Measures are kept and not verdicts, so that limits can
change. Without the file nothing is lost but time.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from h2q._closing import Closing
from h2q.duplicates.looks import Look

#: Counted up when looks or measures are taken in another way: the file is then made anew.
_VERSION: Final = 2
_CHUNK: Final = 500


#: What was measured of two photos, or of one and its copies, by name; values as JSON has them.
Measures: TypeAlias = dict[str, Any]


class LookCache(Closing):
    """Reads and writes what is kept beside a collection.

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

    def compared(self, first: str, second: str = "") -> Measures:
        """Return what was measured of two photos, or of one alone; what is added is to be put."""
        if self._connection is None:
            return {}
        query = "SELECT measures FROM compared WHERE first = ? AND second = ?"
        with contextlib.suppress(sqlite3.DatabaseError, ValueError, RecursionError):
            row = self._connection.execute(query, (first, second)).fetchone()
            found = None if row is None else json.loads(row[0])
            if isinstance(found, dict):
                return found
        return {}

    def put_compared(self, found: Iterable[tuple[str, str, Measures]]) -> None:
        """Keep what was measured of pairs of photos, if that is possible."""
        if self._connection is None:
            return
        rows = [(a, b, json.dumps(measures, separators=(",", ":"))) for a, b, measures in found]
        with contextlib.suppress(sqlite3.DatabaseError), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO compared VALUES (?, ?, ?)", rows)

    def forget_compared(self) -> None:
        """Forget all measures."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.DatabaseError), self._connection:
                self._connection.execute("DELETE FROM compared")

    def keep_only(self, digests: Iterable[str]) -> None:
        """Forget what was seen of other photos than these."""
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.DatabaseError), self._connection:
            kept = set(digests)
            held = self._connection.execute("SELECT sha256 FROM looks").fetchall()
            gone = [(digest,) for (digest,) in held if digest not in kept]
            if not gone:
                return
            self._connection.executemany("DELETE FROM looks WHERE sha256 = ?", gone)
            looks = "(SELECT sha256 FROM looks)"
            self._connection.execute(
                f"DELETE FROM compared WHERE first NOT IN {looks}"  # noqa: S608
                f" OR (second <> '' AND second NOT IN {looks})"
            )

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
            )
            connection.execute(
                "CREATE TABLE IF NOT EXISTS compared (first TEXT, second TEXT, measures TEXT, "
                "PRIMARY KEY (first, second)) WITHOUT ROWID"
            )
            connection.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        connection.close()
        raise
    return connection
