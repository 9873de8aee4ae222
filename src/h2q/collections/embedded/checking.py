"""Read a whole collection file and say whether it is sound."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from h2q.collections.embedded import items
from h2q.errors import FormatError


def check(connection: sqlite3.Connection, path: Path, width: int, record_width: int) -> None:
    """Raise `FormatError` where the file is damaged; inside the caller's snapshot.

    Parameters
    ----------
    connection, path
        The file.
    width : int
        Bytes a code.
    record_width : int
        Bytes a record; 0 where there are none.
    """
    counted = items.read_state(connection).count
    report = connection.execute("PRAGMA quick_check").fetchone()[0]
    if report != "ok":  # then nothing is counted: pages may lead back to each other
        raise FormatError(
            f"{path}: damaged: quick_check says {report!r:.400}; restore it from a copy"
        )
    held = connection.execute("SELECT count(*) FROM items").fetchone()[0]
    odd = connection.execute(
        "SELECT count(*) FROM items WHERE length(code) <> ?", (width,)
    ).fetchone()[0]
    records = counted
    if record_width:
        records = connection.execute(
            "SELECT count(*) FROM items JOIN records USING (row) WHERE length(record) = ?",
            (record_width,),
        ).fetchone()[0]
    if held != counted or odd or records != counted:
        raise FormatError(
            f"{path}: damaged: {held} items where {counted} are "
            f"counted; {odd} codes of a wrong length; {counted - records} records missing or of a "
            "wrong length; restore it from a copy"
        )
