"""The index of a collection in a file beside it (`photos.h2q.index`)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from h2q.collections.embedded.cells import CellIndex
from h2q.collections.embedded.derived_file import DerivedFile
from h2q.collections.embedded.indexes import RowIndex
from h2q.collections.embedded.items import State
from h2q.collections.embedded.table import CodeTable


class IndexCache:
    """Reads and writes the file of one index.

    Parameters
    ----------
    collection : path
    index : RowIndex or CellIndex
    """

    def __init__(self, collection: Path, index: RowIndex | CellIndex) -> None:
        self.index = index
        self._file = DerivedFile(collection, "index")
        self._saved = 0
        self._tried = 0

    def load(self, connection: sqlite3.Connection) -> None:
        """Read the index, where there is one that belongs to the snapshot and is not here yet."""
        if len(self.index):
            return
        found = self._file.read(connection)
        if found is not None and self.index.restore(found[1], found[2]):
            self._saved = self._tried = len(self.index)

    def due(self, state: State, share: float) -> bool:
        """Whether it has changed by more than a share of the items; as `CodeCache.due`."""
        last = self._tried if share else self._saved
        return abs(len(self.index) - last) > share * state.count

    def bind(self, connection: sqlite3.Connection) -> str:
        """Announce a new file to the collection, in the caller's transaction."""
        return self._file.bind(connection)

    def save(self, token: str, state: State, table: CodeTable) -> None:
        """Write the index, if that is possible."""
        arrays, facts = self.index.stored()
        written = self._file.write(token, state, arrays, facts)
        self._tried = len(self.index)
        self._saved = self._tried if written else 0
