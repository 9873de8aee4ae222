"""The tables of a collection file, and how to tell one of ours from any other file.

`items` holds the truth. Its `row` numbers grow by one with every item ever written and are never
used again: a replaced item gets a new row, so the code of a row never changes. `removals` logs,
by a trigger, every row that is gone. A reader that knows the last row and the last removal it has
seen therefore catches up by reading what came after the two, and the items are counted without a
scan: rows given out minus rows removed.

A collection that keeps something of its items' real rows has a table `records` besides, by the
same row numbers, and format version 2. One that keeps codes alone has no such table and version
1, which the first h2q reads, too.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from h2q._foreign import reading
from h2q.codes import BIT_ORDER, code_width
from h2q.errors import CompatibilityError, FormatError
from h2q.ranks import KEEPS, Keep

FORMAT: Final = "h2q-collection"
#: By what it keeps: codes alone, or records, too.
_CODES_VERSION: Final = 1
_RECORDS_VERSION: Final = 2
#: "h2qC", bytes 68 to 71 of the file.
APPLICATION_ID: Final = 0x68327143
_SQLITE_MAGIC: Final = b"SQLite format 3\x00"
#: More rows of `meta` are not read.
_MOST_FACTS: Final = 1000

_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE items (
    row     INTEGER PRIMARY KEY,
    id      NOT NULL UNIQUE,         -- TEXT or INTEGER, kept as given: no affinity
    code    BLOB NOT NULL,           -- ceil(n_bits / 8) bytes, MSB first
    payload TEXT                     -- a JSON object, or NULL
);

CREATE TABLE removals (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    row INTEGER NOT NULL
);

CREATE TRIGGER log_removal AFTER DELETE ON items BEGIN
    INSERT INTO removals (row) VALUES (old.row);
    UPDATE state SET removed = removed + 1;
END;

CREATE TABLE state (
    only       INTEGER PRIMARY KEY CHECK (only = 1),
    last_row   INTEGER NOT NULL,     -- the highest row number ever given out
    removed    INTEGER NOT NULL,     -- rows ever removed: the seq of the newest removal
    forgotten  INTEGER NOT NULL      -- removals up to this seq are no longer in the log
);
INSERT INTO state VALUES (1, 0, 0, 0);

CREATE TABLE artifacts (
    name        TEXT PRIMARY KEY,    -- 'quantizer' or 'model'
    fingerprint TEXT NOT NULL,       -- by which two are compared (artifacts.py)
    sha256      TEXT NOT NULL,       -- of the bytes in artifact_chunks
    size        INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE artifact_chunks (
    name     TEXT NOT NULL,
    position INTEGER NOT NULL,
    data     BLOB NOT NULL,
    PRIMARY KEY (name, position)
);
"""

_RECORDS: Final = """
CREATE TABLE records (
    row    INTEGER PRIMARY KEY,      -- of the item
    record BLOB NOT NULL             -- h2q.ranks.records
);

CREATE TRIGGER drop_record AFTER DELETE ON items BEGIN
    DELETE FROM records WHERE row = old.row;
END;
"""


def create(
    connection: sqlite3.Connection, n_bits: int, created_by: str, keep: Keep = "codes"
) -> None:
    """Lay out an empty collection in an empty database."""
    connection.executescript(_TABLES if keep == "codes" else _TABLES + _RECORDS)
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)",
        {
            "format": FORMAT,
            "n_bits": str(n_bits),
            "bit_order": BIT_ORDER,
            "created_by": created_by,
            "keep": keep,
        }.items(),
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version_of(keep)}")


def version_of(keep: Keep) -> int:
    """Format version of a collection that keeps this."""
    return _CODES_VERSION if keep == "codes" else _RECORDS_VERSION


def check_file(path: Path, handle: int) -> None:
    """Refuse a file that is not one of ours, before SQLite touches it.

    Parameters
    ----------
    path : path
    handle : int
        The file, open: to open and close it here would end the locks that this process has on it.

    Raises
    ------
    FormatError
        If the file is empty, of another program, or truncated.
    CompatibilityError
        If its format version is not one this h2q reads.
    """
    header = os.pread(handle, 100, 0)
    remedy = "give the path of an h2q collection, or of a file that does not exist yet"
    if len(header) < 100 or not header.startswith(_SQLITE_MAGIC):
        raise FormatError(f"{path}: not an h2q collection; {remedy}")
    if int.from_bytes(header[68:72]) != APPLICATION_ID:
        raise FormatError(f"{path}: an SQLite database of another program; {remedy}")
    version = int.from_bytes(header[60:64])
    if version not in (_CODES_VERSION, _RECORDS_VERSION):
        raise CompatibilityError(
            f"{path}: the collection has format version {version}, this h2q reads versions "
            f"{_CODES_VERSION} and {_RECORDS_VERSION}; open it with the h2q that made it, or "
            "upgrade h2q"
        )
    page_size = int.from_bytes(header[16:18])
    announced = (65536 if page_size == 1 else page_size) * int.from_bytes(header[28:32])
    size = os.fstat(handle).st_size
    # With a write-ahead log beside it the file may lag behind its header: SQLite repairs that.
    log = Path(f"{path}-wal")
    if size < announced and not (log.exists() and log.stat().st_size):
        raise FormatError(
            f"{path}: truncated: {size} bytes where its header announces {announced}; "
            "restore it from a copy"
        )


def read_meta(connection: sqlite3.Connection, path: Path) -> dict[str, str]:
    """Return the collection's facts after checking them.

    Raises
    ------
    FormatError, CompatibilityError
        If they are missing, or not those this h2q reads.
    """
    rows = connection.execute("SELECT key, value FROM meta LIMIT ?", (_MOST_FACTS,)).fetchall()
    meta = {str(key): str(value) for key, value in rows}
    n_bits = meta.get("n_bits", "")
    if meta.get("format") != FORMAT or not (n_bits.isascii() and n_bits.isdecimal()):
        raise FormatError(f"{path}: damaged: it does not state its format and code length")
    with reading(path, "a collection"):
        code_width(int(n_bits))
    if meta.get("bit_order") != BIT_ORDER:
        raise CompatibilityError(
            f"{path}: its bit order is {meta.get('bit_order')!r}, this h2q reads {BIT_ORDER!r}"
        )
    if meta.setdefault("keep", "codes") not in KEEPS:  # the first h2q did not state it
        raise CompatibilityError(
            f"{path}: it keeps {meta['keep']!r}, this h2q reads {', '.join(KEEPS)}; upgrade h2q"
        )
    return meta
