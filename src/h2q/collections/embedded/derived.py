"""Files beside a collection that hold what could be computed anew from it, and only save time.

They are its codes, rows and ids (`photos.h2q.cache`), and its index (`photos.h2q.index`).

Such a file must never be believed where it does not belong to the collection as it is: it may be
old, of another collection of the same name, or made after the moment to which the collection was
set back from a copy. So when one is written, a random token goes into the collection (in `meta`),
in one transaction with which the file's content agrees, and into the file. A collection that has
the token therefore descends from that moment: rows keep their codes for ever and removals are
logged, so what came later can be read from the collection.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q.collections.embedded import array_file
from h2q.collections.embedded.cells import CellIndex
from h2q.collections.embedded.indexes import RowIndex
from h2q.collections.embedded.items import State
from h2q.collections.embedded.table import CodeTable, IdArrays, IdColumn, TableArrays
from h2q.errors import FormatError

_VERSION: Final = 1
#: Smaller collections load in some tenths of a second without a cache.
LEAST_CACHED: Final = 250_000
_NOTHING: Final = State(0, 0, 0)


class DerivedFile:
    """One such file.

    Parameters
    ----------
    collection : path
        The collection's file.
    name : str
        What is added to its name.
    """

    def __init__(self, collection: Path, name: str) -> None:
        self.path = Path(f"{collection}.{name}")
        self._name = name

    def read(
        self, connection: sqlite3.Connection
    ) -> tuple[State, dict[str, Any], array_file.Arrays] | None:
        """Return the state the file was made at, its facts and arrays.

        None where there is no file, or it is damaged, or does not belong to the snapshot.
        """
        token = self._token(connection)
        if token is None:
            return None
        try:
            facts, arrays = array_file.read(self.path)
        except (OSError, FormatError):
            return None
        if facts.get("token") != token or facts.get("version") != _VERSION:
            return None
        return State(**facts["state"]), facts, arrays

    def bind(self, connection: sqlite3.Connection) -> str:
        """Put a new token into the collection, in the caller's transaction."""
        token = secrets.token_hex(16)
        connection.execute(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"derived.{self._name}", token)
        )
        return token

    def write(
        self,
        token: str,
        state: State,
        arrays: Mapping[str, NDArray[Any]],
        facts: Mapping[str, Any] | None = None,
    ) -> bool:
        """Write the file; return whether that was possible. Without it nothing is lost but time."""
        about = {
            **(facts or {}),
            "token": token,
            "version": _VERSION,
            "state": {
                "last_row": state.last_row,
                "removed": state.removed,
                "forgotten": state.forgotten,
            },
        }
        try:
            array_file.write(self.path, arrays, about)
        except OSError:
            self.discard()
            return False
        return True

    def discard(self) -> None:
        """Remove the file, where that is possible."""
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _token(self, connection: sqlite3.Connection) -> str | None:
        found = connection.execute(
            "SELECT value FROM meta WHERE key = ?", (f"derived.{self._name}",)
        ).fetchone()
        return None if found is None else str(found[0])


class CodeCache:
    """The codes, rows and ids of a collection, in a file that opens at once.

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


class IndexCache:
    """The index of a collection, in a file beside it.

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
