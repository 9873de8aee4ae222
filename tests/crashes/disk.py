"""What a loss of power leaves: worked out from the log of every change (`disk.c`).

Nothing is taken for granted but what POSIX says: the content of a file is on the disk when the file
was synced, a name when its folder was. Of everything since, any part may be there.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = struct.Struct("qqqq")
_SECTOR = 512


@dataclass
class Change:
    """A line of the log."""

    op: str
    inode: int
    number: int
    data: bytes

    @property
    def paths(self) -> list[str]:
        return self.data.decode().split("\n")


def read_log(path: Path) -> Iterator[Change]:
    data, start = path.read_bytes(), 0
    while start < len(data):
        op, inode, number, size = _HEAD.unpack_from(data, start)
        start += _HEAD.size
        yield Change(chr(op), inode, number, data[start : start + size])
        start += size


@dataclass
class File:
    """Content that is on the disk, and what was done to it since."""

    content: bytes = b""
    since: list[Change] = field(default_factory=list)

    def after(self, changes: list[Change]) -> bytes:
        content = bytearray(self.content)
        for change in changes:
            if change.op == "T":
                del content[change.number :]
                content.extend(bytes(change.number - len(content)))
            else:
                content.extend(bytes(max(0, change.number - len(content))))
                content[change.number : change.number + len(change.data)] = change.data
        return bytes(content)


class Disk:
    """The files of a folder, as they are and as they are sure to be after a loss of power."""

    def __init__(self, folder: Path) -> None:
        self.acknowledged = 0
        self._inodes: dict[int, File] = {}
        self._names: dict[str, File] = {}
        for path in folder.rglob("*"):
            if path.is_file():
                file = self._inodes.setdefault(path.stat().st_ino, File(path.read_bytes()))
                self._names[str(path)] = file
        self._sure = dict(self._names)
        self._since: list[Change] = []
        self._files: list[File] = []  # of `_since`: which file had the name

    def apply(self, change: Change) -> None:
        if change.op == "A":
            self.acknowledged = change.number
        elif change.op in "WT":
            self._inodes[change.inode].since.append(change)
        elif change.op == "S":
            file = self._inodes[change.inode]
            file.content, file.since = file.after(file.since), []
        elif change.op == "D":
            left = []
            for past, file in zip(self._since, self._files, strict=True):
                if change.paths[0] in {str(Path(path).parent) for path in past.paths}:
                    _rename(self._sure, past, file)
                else:
                    left.append((past, file))
            self._since = [past for past, _ in left]
            self._files = [file for _, file in left]
        elif change.op in "CRLU":
            if change.op == "C":
                file = self._inodes[change.inode] = File()
            else:
                file = self._names[change.paths[0]]
            _rename(self._names, change, file)
            self._since.append(change)
            self._files.append(file)

    def crash(self, rng: random.Random | None) -> dict[str, bytes]:
        """Return the files after a loss of power: the least there can be, or some of the rest."""
        names = dict(self._sure)
        if rng is not None:
            for past, file in list(zip(self._since, self._files, strict=True))[
                : rng.randint(0, len(self._since))
            ]:
                _rename(names, past, file)
        return {path: file.after(_some(file.since, rng)) for path, file in names.items()}


def _rename(names: dict[str, File], change: Change, file: File) -> None:
    if change.op in "RU":
        names.pop(change.paths[0], None)
    if change.op != "U":
        names[change.paths[-1]] = file


def _some(changes: list[Change], rng: random.Random | None) -> list[Change]:
    if rng is None:
        return []
    share = rng.choice((0.0, 0.5, 0.9, 1.0))
    kept = []
    for change in changes:
        if rng.random() < share:
            kept.append(change)
        elif change.op == "W" and rng.random() < 0.2:  # torn
            end = rng.randrange(0, len(change.data) + 1, _SECTOR)
            kept.append(Change("W", change.inode, change.number, change.data[:end]))
    return kept
