"""The copy of the codes and ids in memory, brought up to date with the file at each call."""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from typing import Final

from h2q.collections.embedded import items
from h2q.collections.embedded.table import CodeTable
from h2q.collections.embedded.view import View
from h2q.collections.filters import Condition

#: Conditions whose matching codes are kept, for the next search with the same condition.
_CONDITIONS_KEPT: Final = 4
_NOTHING: Final = items.State(0, 0, 0)


class Mirror:
    """Follows the items of a file.

    Parameters
    ----------
    width : int
        Bytes a code.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._state = _NOTHING
        #: SQLite's count of what other connections committed, when the mirror was brought up to
        #: date; None where that is not known, or this connection has written since.
        self._version: int | None = None
        self._all = View(CodeTable(width))
        self._matching: OrderedDict[str, View] = OrderedDict()

    def written(self) -> None:
        """Take note that this connection has written: `data_version` does not count that."""
        self._version = None

    def unchanged(self, connection: sqlite3.Connection, condition: Condition | None) -> View | None:
        """Return the view that `view` would, where it is in memory and nothing was committed since.

        Needs no snapshot: it costs one look at the file instead of a transaction.
        """
        if self._version is None or self._version != _data_version(connection):
            return None
        return self._all if condition is None else self._matching.get(_key(condition))

    def view(self, connection: sqlite3.Connection, condition: Condition | None = None) -> View:
        """Return the items of the caller's snapshot, or those that meet a condition."""
        self._refresh(connection)
        if condition is None:
            return self._all
        key = _key(condition)
        if key not in self._matching:
            rows = items.read_rows_where(connection, condition)
            self._matching[key] = View(self._all.table.restricted(rows))
            if len(self._matching) > _CONDITIONS_KEPT:
                self._matching.popitem(last=False)
        self._matching.move_to_end(key)
        return self._matching[key]

    def _refresh(self, connection: sqlite3.Connection) -> None:
        state = items.read_state(connection)
        version = _data_version(connection)  # of the snapshot, which the line before began
        if state != self._state:
            self._follow(connection, state)
        self._version = version

    def _follow(self, connection: sqlite3.Connection, state: items.State) -> None:
        if state.forgotten > self._state.removed:  # the log of what was removed is cut
            self._forget()
        known, table = self._state, self._all.table
        try:
            if known.last_row and state.removed > known.removed:
                table.remove(items.read_removals(connection, known.removed))
            if state.last_row > known.last_row:
                for rows, codes, ids in items.read_codes(connection, known.last_row, self._width):
                    table.append(rows, codes, ids)
        except BaseException:  # half refreshed: start anew at the next call
            self._forget()
            raise
        self._matching.clear()
        self._state = state

    def _forget(self) -> None:
        self._state, self._version = _NOTHING, None
        self._all = View(CodeTable(self._width))
        self._matching.clear()


def _data_version(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return version


def _key(condition: Condition) -> str:
    return json.dumps([condition.sql, *condition.parameters])
