"""Glances at a file that is open: whether anything happened to it, without a lock and a wait.

Every search asks whether the file is still the same one and whether anybody committed anything.
Calls of the system let go of Python's lock (the GIL), and to get it back a thread waits for the
other one's turn to end: a handful of them in each search, and two threads find hardly more than
one. So both questions are asked with the lock held, which takes some microseconds: a file that is
written lies on a local file system, for SQLite shares memory with those who write. Only where
something did happen are the long answers sought. (A file that is taken for one that does not change
may lie anywhere, and is looked at in the ordinary way.)
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

#: More than the C library's `struct stat` takes anywhere.
_About: Final = ctypes.c_char * 256
#: The header of the index of SQLite's log, which begins the file -shm twice
#: (https://sqlite.org/walformat.html, "The WAL-Index File Format"), and its version.
_HEADER_BYTES: Final = 48
_VERSION: Final = struct.pack("=I", 3_007_000)


def _c_stat() -> Callable[[bytes, Any], int] | None:
    with suppress(OSError, TypeError, AttributeError):  # no such library, or no such name in it
        found = ctypes.PyDLL(None).stat  # PyDLL: the GIL is held
        found.argtypes, found.restype = (ctypes.c_char_p, ctypes.c_void_p), ctypes.c_int
        return found
    return None


_STAT: Final = _c_stat()


def facts(name: bytes) -> bytes | None:
    """Return what the system says of a file, as bytes to be compared with those of another time.

    Equal bytes: it is the same file, of the same size, changed at the same time. None: it cannot be
    told so.
    """
    if _STAT is None:
        return None
    about = _About()
    return about.raw if not _STAT(name, about) else None


class LogIndex:
    """The index of SQLite's write-ahead log, mapped into memory: it tells of every commit.

    SQLite itself looks there whether its pages in memory are still true: the header holds a count
    of transactions, the number of frames and their checksum, and whoever commits, of whatever
    process, writes it at the end.

    Parameters
    ----------
    path : path
        Of the index. It stays open as long as this process has any connection to the collection:
        closing it ends SQLite's locks on it.

    Raises
    ------
    OSError
        If it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.handle = os.open(path, os.O_RDONLY)
        about = os.fstat(self.handle)
        #: Which file it is: device and number.
        self.key = about.st_dev, about.st_ino
        self._map: mmap.mmap | None = None
        with suppress(OSError, ValueError):  # shorter than a page: nobody has written it yet
            self._map = mmap.mmap(self.handle, mmap.PAGESIZE, access=mmap.ACCESS_READ)

    @property
    def mapped(self) -> bool:
        """Whether there is anything to read."""
        return self._map is not None

    def header(self) -> bytes | None:
        """Return the header; None while somebody writes it, or where it is not known.

        Two equal ones: nothing was committed between.
        """
        if self._map is None:
            return None
        try:
            both = self._map[: 2 * _HEADER_BYTES]
        except ValueError:  # another thread has closed it
            return None
        first = both[:_HEADER_BYTES]
        return first if first == both[_HEADER_BYTES:] and first[:4] == _VERSION else None

    def close(self) -> None:
        """Give the file back; only where no connection of this process is open."""
        if self._map is not None:
            self._map.close()
        os.close(self.handle)
