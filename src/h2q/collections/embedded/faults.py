"""What SQLite reports, said in the terms of this project."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from h2q.errors import CollectionError, FormatError, H2QError

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_REMEDY = {
    sqlite3.SQLITE_FULL: "the disk (or a quota) is full; free some space and repeat the call",
    sqlite3.SQLITE_IOERR: "reading or writing failed; check the disk and its free space, then "
    "repeat the call; mode='r' reads from a full disk",
    sqlite3.SQLITE_BUSY: "another process has been writing for too long; repeat the call later",
    sqlite3.SQLITE_LOCKED: "another connection has been writing for too long; repeat the call",
    sqlite3.SQLITE_READONLY: "it cannot be written: allow writing to the file and its folder, or "
    "copy it to a place where you may write; it can be searched as it is (in Python with mode='r')",
    sqlite3.SQLITE_CANTOPEN: "check that its folder exists and may be written; what lies in a "
    "read-only folder can be searched as it is (in Python with mode='r')",
    sqlite3.SQLITE_TOOBIG: "an item is larger than SQLite stores; make it smaller",
}


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the operating system into errors of a collection.

    Raises
    ------
    FormatError
        If the file is damaged.
    CollectionError
        For anything else: a full disk, a lock held by another process, a read-only folder, ...
    """
    try:
        yield
    except FormatError as error:
        if str(path) in str(error):
            raise
        raise FormatError(f"{path}: {error}") from error
    except H2QError:
        raise
    except UnicodeDecodeError as error:  # SQLite quotes the file in what it reports
        raise FormatError(
            f"{path}: damaged: a text in it is no Unicode; restore it from a copy"
        ) from error
    except MemoryError as error:
        raise CollectionError(
            f"{path}: more memory was needed than there is; if it is a small file, it is damaged"
        ) from error
    except sqlite3.ProgrammingError as error:
        if "closed" not in str(error):
            raise
        raise CollectionError(f"{path}: the collection is closed; open it again") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        primary = None if code is None else code & 0xFF
        if primary == sqlite3.SQLITE_INTERRUPT:
            raise FormatError(
                f"{path}: damaged: a query took far longer than a file of its size can need; "
                "restore it from a copy"
            ) from error
        if primary in _DAMAGE or str(error).startswith("Could not decode"):
            raise FormatError(f"{path}: damaged ({error}); restore it from a copy") from error
        remedy = _REMEDY.get(primary or 0, "the last call changed nothing")
        raise CollectionError(f"{path}: {error}: {remedy}") from error
    except OSError as error:
        raise CollectionError(f"{path}: {error.strerror or error}") from error
