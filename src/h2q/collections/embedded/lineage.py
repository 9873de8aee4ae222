"""Which file a write-ahead log belongs to: SQLite itself does not know, and replays any it finds.

The collection's `meta` has a row `lineage` with its identity (random, for life) and two tokens.
Every transaction puts the newer in the place of the older and a random one in its own. So all that
a log holds is a chain, whose first link names the state of the file that it continues. A file whose
token is neither that one nor one of the chain (a checkpoint was on its way) is not the log's.

`meta` is the first table and small, so it is page 2 alone, in the file as in the log; which is read
here without SQLite, for SQLite would already have replayed the log.
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import sys
from array import array
from pathlib import Path
from typing import Final, Literal, NamedTuple, Self

_KEY: Final = "lineage"
_PAGE: Final = 2
#: Type of a page that is a leaf of an index, as `meta` is.
_LEAF: Final = 0x0A
_ROW: Final = re.compile(rb"lineage([0-9a-f]{16}):([0-9a-f]{32}):([0-9a-f]{32})\Z")
_TRACE: Final = re.compile(_ROW.pattern.removesuffix(rb"\Z"))
_NONE: Final = "0" * 32
_EXTEND: Final = """
INSERT INTO meta VALUES (:key, :identity || ':' || :none || ':' || :token)
ON CONFLICT (key) DO UPDATE SET value = substr(value, 1, 17) || substr(value, 51) || ':' || :token
"""
_LOG_MAGIC: Final = (0x377F0682, 0x377F0683)
_PAGE_SIZES: Final = frozenset(1 << power for power in range(9, 17))
_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24


class Lineage(NamedTuple):
    """Where a state of a collection comes from."""

    identity: str
    before: str
    token: str

    @classmethod
    def of_page(cls, page: bytes) -> Self | None:
        """Read the row from page 2; None where it is not there."""
        if len(page) < 512 or page[0] != _LEAF or b"lineage" not in page:
            return None
        for number in range(int.from_bytes(page[3:5])):
            start = int.from_bytes(page[8 + 2 * number : 10 + 2 * number])
            if 0 < start < len(page):
                # One byte with the length: the row is shorter than 128 bytes.
                found = _ROW.search(page[start + 1 : start + 1 + page[start]])
                if found is not None:
                    return cls(*(part.decode() for part in found.groups()))
        return None


class Log(NamedTuple):
    """What a write-ahead log holds: how many pages, and the chain of their transactions."""

    frames: int
    chain: list[Lineage]

    def continues(self, file: Lineage | None) -> bool | None:
        """Whether it belongs to a file that says this of itself; None where that cannot be told."""
        if not self.frames:
            return True
        if not self.chain:  # by the first h2q, or by another program
            return True if file is None else None
        if file is None:
            return True if self.chain[0].before == _NONE else None
        if file.identity != self.chain[0].identity:
            return False
        tokens = [self.chain[0].before, *(link.token for link in self.chain)]
        # The loss of power in a checkpoint may leave the row half of one and half of another state.
        head = max(_alike(file.token, token) for token in tokens)
        tail = max(_alike(file.token[::-1], token[::-1]) for token in tokens)
        return head + tail >= len(_NONE)


def extend(connection: sqlite3.Connection) -> str:
    """Put a new token into the collection, in the caller's transaction; return it."""
    token = secrets.token_hex(16)
    values = {"key": _KEY, "identity": secrets.token_hex(8), "none": _NONE, "token": token}
    connection.execute(_EXTEND, values)
    return token


def leave(connection: sqlite3.Connection) -> None:
    """Forget where a file comes from, in the caller's transaction: it becomes one of its own."""
    connection.execute("DELETE FROM meta WHERE key = ?", (_KEY,))


def of_file(handle: int) -> Lineage | None:
    """Read what an open file itself says, without its log."""
    size = int.from_bytes(os.pread(handle, 2, 16))
    size = 65536 if size == 1 else size
    return Lineage.of_page(os.pread(handle, size, (_PAGE - 1) * size))


def is_torn_page_of(handle: int, log: Log) -> bool:
    """Whether the page of an open file, not readable as a page, has the row that a log continues.

    The loss of power in a checkpoint may leave a page half of one and half of another state, so
    that nothing points to the row any more. The log has the page whole.
    """
    size = int.from_bytes(os.pread(handle, 2, 16))
    page = os.pread(handle, size, (_PAGE - 1) * size)
    found = [Lineage(*(part.decode() for part in row.groups())) for row in _TRACE.finditer(page)]
    return any(log.continues(each) for each in found)


def of_log(path: Path, exactly: bool = False) -> Log:
    """Read the transactions in a log, as SQLite would: none where there is no log.

    Parameters
    ----------
    path : path
    exactly : bool
        Whether checksums are computed, too, which takes a second for some 10 MB. Without, what a
        loss of power has left of a transaction may be taken for a whole one.
    """
    nothing = Log(0, [])
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return nothing
    with file:
        header = file.read(_LOG_HEADER)
        if len(header) < _LOG_HEADER:
            return nothing
        magic, size, salts = header[:4], int.from_bytes(header[8:12]), header[16:24]
        if int.from_bytes(magic) not in _LOG_MAGIC or size not in _PAGE_SIZES:
            return nothing
        order: Literal["little", "big"] = "big" if magic[3] & 1 else "little"
        sums = _sums(header[:24], (0, 0), order)
        frames, chain = 0, list[Lineage]()
        whole, links = 0, 0  # as far as the last transaction that is complete
        while len(frame := file.read(_FRAME_HEADER)) == _FRAME_HEADER and frame[8:16] == salts:
            page = b""
            if exactly or int.from_bytes(frame[:4]) == _PAGE:
                page = file.read(size)
            else:
                file.seek(size, os.SEEK_CUR)
            if exactly:
                if len(page) < size:
                    break
                sums = _sums(frame[:8] + page, sums, order)
                if frame[16:24] != b"".join(s.to_bytes(4) for s in sums):
                    break
            frames += 1
            if int.from_bytes(frame[:4]) == _PAGE:
                link = Lineage.of_page(page)
                if link is not None and (not chain or chain[-1] != link):
                    chain.append(link)
            if any(frame[4:8]):  # the end of a transaction
                whole, links = frames, len(chain)
    return Log(whole, chain[:links])


def _sums(data: bytes, sums: tuple[int, int], order: Literal["little", "big"]) -> tuple[int, int]:
    """Continue the checksum of a log (https://www.sqlite.org/fileformat2.html#checksum_algorithm)."""
    first, second = sums
    words = array("I", data)
    if order != sys.byteorder:
        words.byteswap()
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def _alike(text: str, other: str) -> int:
    """Length of the beginning that two texts share."""
    return len(os.path.commonprefix([text, other]))  # noqa: RUF071 (of texts indeed)
