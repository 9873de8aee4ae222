"""The codes, rows and ids of a collection in a file that opens at once (`photos.h2q.cache`)."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q.collections.embedded.derived_file import DerivedFile
from h2q.collections.embedded.items import State
from h2q.collections.embedded.table import CodeTable, IdArrays, IdColumn, TableArrays

#: Smaller collections load in some tenths of a second without it.
LEAST_CACHED: Final = 250_000
_NOTHING: Final = State(0, 0, 0)


class CodeCache:
    """Reads and writes the cache of one collection.

    Parameters
    ----------
    collection : path
    width : int
        Bytes a code.
    """

    def __init__(self, collection: Path, width: int) -> None:
        self._file = DerivedFile(collection, "cache")
        self._width = width
        self._saved = _NOTHING
        self._tried = _NOTHING

    def load(self, connection: sqlite3.Connection, state: State) -> tuple[State, TableArrays]:
        """Return the items of an earlier state: none where there is no cache.

        Parameters
        ----------
        connection, state
            A snapshot and its state.
        """
        found = self._file.read(connection)
        # Of what was removed since, the log must still tell all.
        if found is not None and found[0].removed >= state.forgotten:
            known, _, arrays = found
            if arrays["codes"].shape == (known.count, self._width):
                self._saved = self._tried = known
                ids = IdArrays(arrays["id_values"], arrays["id_lengths"], arrays["id_text"])
                return known, TableArrays(arrays["rows"], arrays["codes"], IdColumn(ids))
        self._saved = _NOTHING
        nothing = np.empty((0, self._width), np.uint8)
        return _NOTHING, TableArrays(np.empty(0, np.int64), nothing, IdColumn())

    def due(self, state: State, share: float) -> bool:
        """Whether there are many items and more than a share has changed since it was written.

        Where the last attempt failed it counts, too, unless `share` is 0: a full disk is not tried
        again with every search.
        """
        last = self._tried if share else self._saved
        changed = state.last_row - last.last_row + state.removed - last.removed
        return state.count >= LEAST_CACHED and changed > share * state.count

    def bind(self, connection: sqlite3.Connection) -> str:
        """Announce a new cache to the collection, in the caller's transaction."""
        return self._file.bind(connection)

    def save(self, token: str, state: State, table: CodeTable) -> None:
        """Write the items of a state, if that is possible."""
        items = table.arrays()
        values, lengths, text = items.ids.arrays()
        arrays: dict[str, NDArray[Any]] = {
            "rows": items.rows,
            "codes": items.codes,
            "id_values": values,
            "id_lengths": lengths,
            "id_text": text,
        }
        self._tried = state
        self._saved = state if self._file.write(token, state, arrays) else _NOTHING
