"""A record of the units that are in a collection, so that a later run passes them over.

A file of JSON lines beside the collection; a line is added when a unit's items are durable there.
It only saves work: a unit that is done twice gives the same ids, which replace themselves. Losing
the file loses nothing, and a line torn by a kill is ignored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from h2q._files import written_whole
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.collections.base import Collection, Id
from h2q.ingest.units import RowUnit

_FORMAT: Final = "h2q-units"


class Journal:
    """The units of one collection.

    Parameters
    ----------
    path : path
        The file; made where it is absent. One made for another collection, or for one made with
        another quantizer, is begun anew.
    maker : mapping
        What the codes were made with.
    prefix : str
        Goes before the ids: the same rows under another prefix are other items.
    """

    def __init__(self, path: StrPath, maker: Mapping[str, Any], prefix: str = "") -> None:
        self.path, self._prefix = as_path(path, "the journal"), prefix
        self._head = {"format": _FORMAT, "format_version": 1, "made_by": dict(maker)}
        #: By place (file and first row): the content that was stored last, and its outer ids.
        self._done: dict[str, tuple[str, list[Id]]] = {}
        lines = self._lines()
        if lines and lines[0] == self._head:
            for line in lines[1:]:
                self._done[line["place"]] = (line["unit"], line["ends"])
        # Rewritten also where nothing changed: what is added must not follow a torn line.
        with written_whole(self.path) as file:
            file.write(_line(self._head))
            for place, (unit, ends) in self._done.items():
                file.write(_line({"place": place, "unit": unit, "ends": ends}))

    def finished(self, units: Sequence[RowUnit], collection: Collection) -> set[int]:
        """Numbers of the units that are in the collection.

        The first and the last item of each are looked up, so a collection that was made again
        under the same name gets everything.
        """
        found: set[int] = set()
        for unit in units:
            fingerprint, ends = self._done.get(self._place(unit), ("", []))
            if fingerprint == unit.fingerprint and None not in collection.get(ends):
                found.add(unit.number)
        return found

    def add(self, unit: RowUnit, ids: Sequence[Id]) -> None:
        """Record a unit whose items are durable in the collection."""
        ends = [ids[0], ids[-1]] if ids else []
        place = self._place(unit)
        self._done[place] = (unit.fingerprint, ends)
        with self.path.open("ab") as file:
            file.write(_line({"place": place, "unit": unit.fingerprint, "ends": ends}))
            file.flush()
            os.fsync(file.fileno())

    def _place(self, unit: RowUnit) -> str:
        return f"{self._prefix}|{unit.shard.file.name}|{unit.start}"

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        found = []
        for text in self.path.read_bytes().splitlines():
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                continue  # torn by a kill
            if isinstance(line, dict):
                found.append(line)
        return found


def _line(fields: Mapping[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"
