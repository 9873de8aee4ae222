"""Ranges of rows out of `.npy` files and `.npz` archives, without reading the rest."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from h2q.errors import FormatError

#: Bytes of a local header of a zip file before the name, and where the lengths stand in it.
_ZIP_HEADER: Final = 30


@dataclass(frozen=True)
class ArrayHeader:
    """What the header of a `.npy` file says.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy dtype
    by_columns : bool
        Stored column after column, so a range of rows is not in one piece.
    offset : int
        Bytes before the data.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    by_columns: bool
    offset: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))


def read_header(file: IO[bytes], name: str) -> ArrayHeader:
    """Read the header of a `.npy` file that is open at its start.

    Raises
    ------
    FormatError
        If it is none, or holds pickled objects.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, by_columns, dtype = read(file)
    except (ValueError, KeyError, EOFError) as error:
        raise FormatError(f"{name}: not a .npy file, or a damaged one ({error})") from error
    if dtype.hasobject:
        raise FormatError(f"{name}: holds pickled objects, which are never read")
    return ArrayHeader(shape, dtype, by_columns, file.tell())


def read_rows(file: IO[bytes], name: str, start: int, stop: int) -> NDArray[Any]:
    """Read rows `start` to `stop` of a `.npy` file that is open at its start."""
    header = read_header(file, name)
    n = header.shape[0]
    start, stop = min(start, n), min(stop, n)
    if header.by_columns and len(header.shape) > 1:
        whole = _read(file, header, name, header.row_bytes * n)
        return whole.reshape(header.shape[::-1]).T[start:stop]
    file.seek(header.offset + start * header.row_bytes)
    flat = _read(file, header, name, (stop - start) * header.row_bytes)
    return flat.reshape(stop - start, *header.shape[1:])


def _read(file: IO[bytes], header: ArrayHeader, name: str, size: int) -> NDArray[Any]:
    data = file.read(size)
    if len(data) != size:
        raise FormatError(f"{name}: truncated: {size - len(data)} bytes are missing")
    return np.frombuffer(data, dtype=header.dtype)


class Archive:
    """The arrays of an open `.npz` file.

    Parameters
    ----------
    file : binary file
        Open and seekable; closed by whoever opened it.
    name : str
        What errors call it.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        try:
            self._zip = zipfile.ZipFile(file)
        except zipfile.BadZipFile as error:
            raise FormatError(f"{name}: not a .npz file, or a damaged one ({error})") from error
        self.names = tuple(entry.removesuffix(".npy") for entry in self._zip.namelist())

    def header(self, array: str) -> ArrayHeader:
        """Return the header of an array."""
        with self._open(array) as member:
            return read_header(member, f"{self._name}: {array}")

    def rows(self, array: str, start: int, stop: int) -> NDArray[Any]:
        """Read rows of an array. In a compressed archive what comes before them is read too."""
        with self._open(array) as member:
            return read_rows(member, f"{self._name}: {array}", start, stop)

    def all(self, array: str) -> NDArray[Any]:
        """Read a whole array, which may have no dimension at all."""
        with self._open(array) as member:
            return np.asarray(np.lib.format.read_array(member, allow_pickle=False))

    @contextmanager
    def _open(self, array: str) -> Iterator[Any]:
        entry = self._zip.getinfo(f"{array}.npy")
        if entry.compress_type != zipfile.ZIP_STORED:
            try:
                with self._zip.open(entry) as member:
                    yield member
            except zipfile.BadZipFile as error:
                raise FormatError(f"{self._name}: {array}: damaged ({error})") from error
            return
        # Stored as it is: searched in place, where zipfile would read all that comes before.
        self._file.seek(entry.header_offset)
        head = self._file.read(_ZIP_HEADER)
        lengths = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        start = entry.header_offset + _ZIP_HEADER + lengths
        yield _Window(self._file, start, entry.file_size)


class _Window:
    """A part of an open file, as if it were a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size
        file.seek(start)

    def seek(self, place: int) -> int:
        return self._file.seek(self._start + place) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start

    def read(self, size: int = -1) -> bytes:
        left = self._size - self.tell()
        return self._file.read(left if size < 0 else min(size, left))
