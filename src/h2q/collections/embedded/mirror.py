"""The copy of the codes in memory, brought up to date with the file at each call."""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from typing import Final

from h2q.collections.embedded import items
from h2q.collections.embedded.asymmetric_scan import AsymmetricScan
from h2q.collections.embedded.table import CodeTable
from h2q.collections.filters import Condition

#: Conditions whose matching codes are kept, for the next search with the same condition.
_CONDITIONS_KEPT: Final = 4


class View:
    """Codes to search, and the scan of them by the asymmetric score, made when first used."""

    def __init__(self, table: CodeTable) -> None:
        self.table = table
        self.asymmetric = AsymmetricScan(table)


class Mirror:
    """Follows the items of a file; all reading is done inside the caller's snapshot."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._state = items.State(0, 0, 0)
        self._all = View(CodeTable(width))
        self._matching: OrderedDict[str, View] = OrderedDict()

    def view(self, connection: sqlite3.Connection, condition: Condition | None = None) -> View:
        """Return the codes of all items of the snapshot, or of those that meet a condition."""
        self._refresh(connection)
        if condition is None:
            return self._all
        key = json.dumps([condition.sql, *condition.parameters])
        if key not in self._matching:
            rows = items.read_rows_where(connection, condition)
            self._matching[key] = View(self._all.table.restricted(rows))
            if len(self._matching) > _CONDITIONS_KEPT:
                self._matching.popitem(last=False)
        self._matching.move_to_end(key)
        return self._matching[key]

    def _refresh(self, connection: sqlite3.Connection) -> None:
        state = items.read_state(connection)
        if state == self._state:
            return
        if state.forgotten > self._state.removed:  # the log of what was removed is cut
            self._state, self._all = items.State(0, 0, 0), View(CodeTable(self._width))
        known, table = self._state, self._all.table
        first_load = known.last_row == 0
        try:
            if not first_load and state.removed > known.removed:
                table.remove(items.read_removals(connection, known.removed))
            if state.last_row > known.last_row:
                for rows, codes in items.read_codes(connection, known.last_row, self._width):
                    table.append(rows, codes)
        except BaseException:  # half refreshed: start anew at the next call
            self._state, self._all = items.State(0, 0, 0), View(CodeTable(self._width))
            raise
        self._matching.clear()
        self._state = state
