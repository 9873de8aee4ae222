"""Files beside a collection that hold what could be computed anew from it, and only save time.

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

from numpy.typing import NDArray

from h2q.collections.embedded import array_file
from h2q.collections.embedded.items import State
from h2q.errors import FormatError

_VERSION: Final = 1


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
