"""Arrays out of `.npy` and `.npz` files of anybody: no pickle, no more than the size justifies.

`numpy.load` believes a header: eight bytes of it may claim terabytes, and a member of an archive
may unpack to a thousand times its size. Here the claim is compared with what is there first.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._foreign import check_share, reading, size_of
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import FormatError

#: What numpy writes; the others pack zeros a million times tighter.
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MOST_MEMBERS: Final = 10_000
_HEADERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


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
    def size_bytes(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def read_header(file: IO[bytes], name: object, size: int) -> ArrayHeader:
    """Read the header of a `.npy` file that is open at its start, and check what it claims.

    Parameters
    ----------
    file : binary file
    name : object
        What errors call it.
    size : int
        Bytes of the whole `.npy` file.

    Raises
    ------
    FormatError
        If it is none, holds pickled objects, or claims more than the file holds.
    """
    with reading(name, "a .npy file"):
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"version {version} of the format")
        shape, by_columns, dtype = _HEADERS[version](file)
        offset = file.tell()
    if dtype.hasobject:
        raise FormatError(f"{name}: holds pickled objects, which are never read")
    header = ArrayHeader(tuple(int(n) for n in shape), dtype, bool(by_columns), offset)
    there = size - offset
    # An array of no bytes may still claim any number of rows.
    claimed = max(header.size_bytes, *header.shape, 0) if 0 in (header.size_bytes,) else 0
    if header.size_bytes > there or claimed > size or min(header.shape, default=0) < 0:
        raise FormatError(
            f"{name}: truncated, or damaged: its header promises {dtype} of shape {header.shape}, "
            f"{header.size_bytes:,} bytes, and {max(0, there):,} follow"
        )
    return header


def read_array(file: IO[bytes], name: object, size: int) -> NDArray[Any]:
    """Read a whole array from a `.npy` file that is open at its start."""
    header = read_header(file, name, size)
    with reading(name, "a .npy file"):
        data = file.read(header.size_bytes)
    if len(data) != header.size_bytes:
        raise FormatError(f"{name}: truncated: {header.size_bytes - len(data):,} bytes are missing")
    return _shaped(np.frombuffer(bytearray(data), dtype=header.dtype), header)


def map_array(path: StrPath) -> NDArray[Any]:
    """Open a `.npy` file, memory-mapped, read-only.

    Raises
    ------
    FormatError
        If it is none, is truncated, or holds pickled objects.
    """
    path = as_path(path)
    size = size_of(path)
    with path.open("rb") as file:
        header = read_header(file, path, size)
    if not header.size_bytes:
        return np.empty(header.shape, header.dtype)
    with reading(path, "a .npy file"):
        order: Any = "F" if header.by_columns else "C"
        return np.memmap(path, header.dtype, "r", header.offset, header.shape, order)


def read_npz(path: StrPath, names: Iterable[str] | None = None) -> dict[str, NDArray[Any]]:
    """Read the arrays of an archive, by name; those of `names` alone, where it has them.

    Raises
    ------
    FormatError
        If it is no archive of arrays, is damaged, holds pickled objects, or would unpack to far
        more than its size.
    """
    path = as_path(path)
    size = size_of(path)
    with reading(path, "a .npz file"), zipfile.ZipFile(path) as archive:
        members = check_members(archive, path, size)
        wanted = members if names is None else [name for name in names if name in members]
        arrays = {}
        for name in wanted:
            with archive.open(members[name]) as file:
                arrays[name] = read_array(file, f"{path}: {name}", members[name].file_size)
        return arrays


def check_members(archive: zipfile.ZipFile, name: object, size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the arrays of an archive by name, after checking what they would unpack to.

    Parameters
    ----------
    archive : ZipFile
    name : object
        What errors call it.
    size : int
        Bytes of the file.

    Raises
    ------
    FormatError
        If that is far more than the file's size, or it is packed in a way numpy does not write.
    """
    entries = archive.infolist()
    if len(entries) > _MOST_MEMBERS:
        raise FormatError(f"{name}: {len(entries):,} members; an archive of arrays has a few")
    for entry in entries:
        if entry.compress_type not in _METHODS or entry.flag_bits & 0x1:
            raise FormatError(
                f"{name}: {entry.filename} is packed or encrypted in a way numpy does not write; "
                "save it with numpy.savez"
            )
        if entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
            raise FormatError(f"{name}: {entry.filename} contradicts itself; the file is damaged")
    unpacked = sum(entry.file_size for entry in entries)
    check_share(name, size, unpacked, "save it unpacked with numpy.savez")
    return {entry.filename.removesuffix(".npy"): entry for entry in entries}


def _shaped(flat: NDArray[Any], header: ArrayHeader) -> NDArray[Any]:
    if header.by_columns and len(header.shape) > 1:
        return flat.reshape(header.shape[::-1]).T
    return flat.reshape(header.shape)
