"""A collection file may come from anybody: nothing in it runs, and no query on it is endless.

A database can hold views in the places of tables, triggers, generated columns and pages that lead
back to each other. So the schema is compared, as text, with what h2q itself makes, before the
first query; SQLite is told not to trust it; and a query that takes far longer than the file's size
can justify is ended.
"""

from __future__ import annotations

import os
import re
import sqlite3
from functools import cache
from pathlib import Path
from typing import Final

from h2q.collections.embedded import schema
from h2q.errors import FormatError

#: What SQLite itself adds; the statistics are of ANALYZE.
_OF_SQLITE: Final = {
    "sqlite_sequence": "CREATE TABLE sqlite_sequence(name,seq)",
    "sqlite_stat1": "CREATE TABLE sqlite_stat1(tbl,idx,stat)",
    "sqlite_stat4": "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)",
}
_MOST_ENTRIES: Final = 100
#: Steps of SQLite's machine between two looks at what a query has used, and what it may use.
_STEPS: Final = 1_000_000
_ALWAYS: Final = 20
_BYTES_A_LOOK: Final = 2500

#: SQLite's own limit of a value, and what a statement's text may need.
_LONGEST: Final = 1_000_000_000
_LEAST_LENGTH: Final = 1 << 20

Entry = tuple[str, str, str, str]


def guard(connection: sqlite3.Connection, path: Path) -> Limits:
    """Check the schema of a file that has just been opened, before anything else is asked of it.

    Returns what limits its queries.

    Raises
    ------
    FormatError
        If it is not that of a collection.
    """
    limits = Limits(path)
    limits.renew(connection)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    _check_schema(connection, path)
    return limits


class Limits:
    """What reading through one connection may take: what the file's size can justify, and no more.

    Parameters
    ----------
    path : path
        Of the file the connection has open.
    """

    def __init__(self, path: Path) -> None:
        self._names = str(path), f"{path}-wal"
        self._mark: bytes | None = None
        self._handled = False
        self._allowed = self._left = 0

    def renew(self, connection: sqlite3.Connection, mark: bytes | None = None) -> None:
        """Let the next query begin anew.

        Parameters
        ----------
        connection : sqlite3.Connection
        mark : bytes, optional
            Changes with every commit to the file: as long as it is the same, the file has not grown
            but by a checkpoint, which brings nothing new.
        """
        if mark is None or mark != self._mark or not self._handled:
            size = sum(map(_size, self._names))
            # No value is longer than its file, whatever its header says.
            longest = min(size + _LEAST_LENGTH, _LONGEST)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest)
            connection.set_progress_handler(self._used_up, _STEPS)
            self._allowed = _ALWAYS + size // _BYTES_A_LOOK
            self._mark, self._handled = mark, True
        self._left = self._allowed

    def lift(self, connection: sqlite3.Connection) -> None:
        """Let what is written take as long as it takes: its size is not that of the file."""
        if not self._handled:
            return
        connection.set_progress_handler(None, _STEPS)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
        self._handled = False

    def _used_up(self) -> bool:
        self._left -= 1
        return self._left < 0


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    statement = "SELECT type, name, tbl_name, sql FROM sqlite_master LIMIT ?"
    found: set[Entry] = set()
    for row in connection.execute(statement, (_MOST_ENTRIES,)):
        kind, name, table, text = (str(value) for value in row)
        if (kind, name, table, text) == ("table", name, name, _OF_SQLITE.get(name)):
            continue
        found.add((kind, name, table, _plain(text)))
    known = _known()
    if found in known:
        return
    # The version that is nearest says what is odd.
    odd = min((sorted(found ^ each) for each in known), key=len)[0]
    raise FormatError(
        f"{path}: not a collection as h2q makes it: the {odd[0][:20]} {odd[1][:80]!r} is "
        f"{'another one' if odd in found else 'missing or another one'}; nothing in it was run"
    )


@cache
def _known() -> tuple[set[Entry], ...]:
    """Schemas that this h2q makes, as SQLite tells them."""
    found = []
    for keep in ("codes", "int8"):
        connection = sqlite3.connect(":memory:")
        try:
            schema.create(connection, 8, "", keep)
            rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
            entries = {(str(k), str(n), str(t), _plain(str(text))) for k, n, t, text in rows}
        finally:
            connection.close()
        found.append({entry for entry in entries if entry[1] not in _OF_SQLITE})
    return tuple(found)


def _plain(text: str) -> str:
    """Return the text without comments and with single spaces."""
    return " ".join(re.sub(r"--[^\n]*", "", text).split())


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 (as cheap as it can be)
    except OSError:
        return 0
