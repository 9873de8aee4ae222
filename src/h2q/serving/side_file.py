"""What the server derives and keeps: thumbnails, photos asked about, coordinates of the map.

One SQLite file beside the collection (`photos.h2q.page`), or in the user's cache for a collection
on a server or in a folder that cannot be written. It can be deleted at any time: it only saves
work. What belongs to an item is kept with a stamp of the item's photo, so that a changed photo is
drawn anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import platformdirs
from numpy.typing import NDArray

from h2q._closing import Closing
from h2q.errors import CollectionError

_MARK: Final = 0x68327170  # "h2qp"
_VERSION: Final = 1
_MOST_ASKED: Final = 2000
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS thumbnails (
  key TEXT PRIMARY KEY, stamp TEXT NOT NULL, webp BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asked (
  token TEXT PRIMARY KEY, made REAL NOT NULL, row BLOB NOT NULL, webp BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS maps (
  method TEXT PRIMARY KEY, stamp TEXT NOT NULL, places BLOB NOT NULL);
"""


@dataclass(frozen=True)
class Asked:
    """A photo somebody searched with.

    Attributes
    ----------
    token : str
        SHA-256 of its bytes, in hex.
    row : ndarray of shape (d,), float32
        Its embedding, as the collection takes real queries.
    webp : bytes
        A small picture of it.
    """

    token: str
    row: NDArray[np.float32]
    webp: bytes


class SideFile(Closing):
    """The file; its methods may be called from many threads.

    Parameters
    ----------
    path : Path

    Raises
    ------
    CollectionError
        If it cannot be opened or made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError:
            # Damaged, or another program's: nothing in it is worth more than the time to make it.
            if path.suffix != ".page":
                raise
            self._discard()
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        try:
            mark = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if mark not in (0, _MARK) or version not in (0, _VERSION):
                raise sqlite3.DatabaseError("not a side file of this version")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")  # it can be made anew
            connection.execute(f"PRAGMA application_id={_MARK}")
            connection.execute(f"PRAGMA user_version={_VERSION}")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection

    def _discard(self) -> None:
        for name in (self.path, f"{self.path}-wal", f"{self.path}-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()

    def thumbnail(self, key: str, stamp: str) -> bytes | None:
        """Return the thumbnail of an item's photo, None where there is none of this stamp."""
        with self._lock:
            found = self._connection.execute(
                "SELECT webp FROM thumbnails WHERE key = ? AND stamp = ?", (key, stamp)
            ).fetchone()
        return None if found is None else bytes(found[0])

    def keep_thumbnail(self, key: str, stamp: str, webp: bytes) -> None:
        """Keep the thumbnail of an item's photo."""
        with self._lock, contextlib.suppress(sqlite3.Error):  # a full disk costs time, no answer
            self._connection.execute(
                "INSERT OR REPLACE INTO thumbnails VALUES (?, ?, ?)", (key, stamp, webp)
            )

    def asked(self, token: str) -> Asked | None:
        """Return a photo that was asked about, None where it is not kept (any more)."""
        with self._lock:
            found = self._connection.execute(
                "SELECT row, webp FROM asked WHERE token = ?", (token,)
            ).fetchone()
        if found is None:
            return None
        return Asked(token, np.frombuffer(found[0], dtype="<f4").astype(np.float32), found[1])

    def keep_asked(self, asked: Asked) -> None:
        """Keep a photo that was asked about; the oldest beyond some thousands are forgotten."""
        row = asked.row.astype("<f4").tobytes()
        with self._lock, self._transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO asked VALUES (?, ?, ?, ?)",
                (asked.token, time.time(), row, asked.webp),
            )
            self._connection.execute(
                "DELETE FROM asked WHERE token NOT IN "
                "(SELECT token FROM asked ORDER BY made DESC LIMIT ?)",
                (_MOST_ASKED,),
            )

    def places(self, method: str, stamp: str) -> NDArray[np.float32] | None:
        """Return coordinates (n, 2) made by `method` of the items that `stamp` stands for."""
        with self._lock:
            found = self._connection.execute(
                "SELECT places FROM maps WHERE method = ? AND stamp = ?", (method, stamp)
            ).fetchone()
        if found is None:
            return None
        return np.frombuffer(found[0], dtype="<f4").astype(np.float32).reshape(-1, 2)

    def keep_places(self, method: str, stamp: str, places: NDArray[np.float32]) -> None:
        """Keep coordinates."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.execute(
                "INSERT OR REPLACE INTO maps VALUES (?, ?, ?)",
                (method, stamp, places.astype("<f4").tobytes()),
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with contextlib.suppress(sqlite3.OperationalError):
            self._connection.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()


def side_file_of(uri: str) -> SideFile:
    """Open the side file of a collection.

    Raises
    ------
    CollectionError
        If neither the collection's folder nor the user's cache can hold it.
    """
    if "://" not in uri:
        beside = Path(f"{uri}.page")
        if os.access(beside if beside.exists() else beside.absolute().parent, os.W_OK):
            return SideFile(beside)
        uri = str(Path(uri).resolve())
    name = hashlib.sha256(uri.encode()).hexdigest()[:32]
    try:
        folder = Path(platformdirs.user_cache_dir("h2q", appauthor=False, ensure_exists=True))
        return SideFile(folder / f"{name}.page")
    except (OSError, sqlite3.Error) as error:
        raise CollectionError(
            f"the cache for thumbnails cannot be made: {error}; set XDG_CACHE_HOME to a folder "
            "that can be written"
        ) from error
