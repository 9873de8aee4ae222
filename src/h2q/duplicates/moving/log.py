"""The log of moves: a line before each, a line after it, so that what was begun is known."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from h2q._files import made_folder, write_whole
from h2q.collections.base import Id
from h2q.errors import FormatError

#: Name of the log in the folder that duplicates are moved to.
LOG_NAME: Final = "h2q-moves.jsonl"
_FORMAT: Final = "h2q moves log"

#: `"moving"` and `"returning"` are begun, `"moved"` and `"returned"` are done.
State: TypeAlias = Literal["moving", "moved", "returning", "returned", "left"]


@dataclass(frozen=True)
class Entry:
    """A move as far as the log knows it.

    Attributes
    ----------
    number : int
        Of the move in the log.
    source, target : str
        Where the photo was, and where it goes.
    sha256 : str
        What it holds.
    id : str or int
        Of the item, in `collection`.
    collection : str
    code, payload
        What the collection held: the packed code as base64, the payload; None where it held none.
    state : State
    """

    number: int
    source: str
    target: str
    sha256: str
    id: Id
    collection: str
    code: str | None
    payload: dict[str, Any] | None
    state: State = "moving"

    @property
    def code_bytes(self) -> bytes | None:
        """The packed code."""
        return None if self.code is None else base64.b64decode(self.code)


class Log:
    """A log file; every line is on the disk before the next step is taken.

    Parameters
    ----------
    path : Path
        Made where it is absent and `create` is given.
    create : bool

    Raises
    ------
    FormatError
        If it is no log.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.path = path
        if create and (not path.exists() or _is_begun(path.read_bytes())):
            with made_folder(path.parent):
                write_whole(path, _HEAD)
        self.entries = {entry.number: entry for entry in _read(path)}
        self._by_source: dict[str, list[int]] = {}
        for entry in self.entries.values():
            self._by_source.setdefault(entry.source, []).append(entry.number)
        self._last = max(self.entries, default=0)
        self._file = path.open("r+b", buffering=0)
        # A line that was cut off by a crash is no line: what it began had not begun.
        self._file.truncate(_whole_lines(path))
        self._file.seek(0, os.SEEK_END)

    def begin(self, entry: Entry) -> None:
        """Note what is about to be done."""
        self.entries[entry.number] = entry
        self._by_source.setdefault(entry.source, []).append(entry.number)
        self._last = max(self._last, entry.number)
        self._write({"move": entry.__dict__})

    def note(self, entry: Entry, state: State) -> Entry:
        """Note how far a move is."""
        changed = replace(entry, state=state)
        self.entries[entry.number] = changed
        self._write({"number": entry.number, "state": state})
        return changed

    def by_source(self, source: str) -> list[Entry]:
        """Return the moves of the photo of that name."""
        return [self.entries[number] for number in self._by_source.get(source, ())]

    def next_number(self) -> int:
        """Return the number of the next move."""
        return self._last + 1

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _write(self, value: dict[str, Any]) -> None:
        start, left = self._file.tell(), memoryview(_line(value))
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError:  # a full disk: half a line would spoil the next
            with suppress(OSError):
                self._file.truncate(start)
                self._file.seek(start)
            raise


def encoded_code(code: bytes) -> str:
    """Return a packed code as the log holds it."""
    return base64.b64encode(code).decode("ascii")


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode("ascii") + b"\n"


_HEAD: Final = _line({"format": _FORMAT, "format_version": 1})


def _is_begun(data: bytes) -> bool:
    """Whether a log ended within its head (a full disk, a crash): nothing has been moved by it."""
    return len(data) < len(_HEAD) and _HEAD.startswith(data)


def _whole_lines(path: Path) -> int:
    return path.read_bytes().rfind(b"\n") + 1


def _read(path: Path) -> Iterator[Entry]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from error
    if _is_begun(data):
        return
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    entries: dict[int, Entry] = {}
    try:
        head = json.loads(lines[0]) if lines else None
        if not isinstance(head, dict) or head.get("format") != _FORMAT:
            raise ValueError("no head")
        for text in lines[1:]:
            value = json.loads(text)
            if "move" in value:
                entry = Entry(**value["move"])
                entries[entry.number] = entry
            else:
                number = value["number"]
                entries[number] = replace(entries[number], state=value["state"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{path}: is no log of `h2q duplicates apply` ({error})") from error
    yield from entries.values()
