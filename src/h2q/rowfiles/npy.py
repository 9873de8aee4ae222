"""numpy `.npy`: real rows, or packed codes with ids and payloads beside them. No pickle."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any, BinaryIO, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from h2q._npz import ArrayHeader, map_array, read_header
from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.errors import FormatError
from h2q.rowfiles.code_file import code_file
from h2q.rowfiles.rows import Hints, RowFile, Rows, check_embeddings, refuse_key
from h2q.rowfiles.sidecar import read_sidecar, written_with_items
from h2q.rowfiles.storage import is_url, open_file
from h2q.rowfiles.stream import CodeStream

_KIND: Final = "npy"


def read_rows(file: IO[bytes], name: str, size: int, start: int, stop: int) -> NDArray[Any]:
    """Read rows `start` to `stop` of a `.npy` file of `size` bytes that is open at its start."""
    header = read_header(file, name, size)
    if not header.shape:
        raise FormatError(f"{name}: a single value, where rows are needed")
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


def write(stream: CodeStream, path: Path) -> None:
    """Write a matrix (n, ceil(n_bits / 8)) of uint8, MSB first."""
    width, n = code_width(stream.n_bits), 0
    with written_with_items(path, _KIND, stream.n_bits) as (file, keep):
        begin = _write_header(file, 0, width)
        for batch in stream.batches():
            file.write(np.ascontiguousarray(batch.codes).tobytes())
            keep(batch)
            n += len(batch.ids)
        # numpy leaves room in the header for the number of rows to grow to any length.
        file.seek(0)
        if _write_header(file, n, width) != begin:
            raise AssertionError("the header of the .npy file changed its length")
        file.seek(0, 2)


def read(name: str, hints: Hints) -> RowFile:
    """Open it: bytes with a sidecar or a stated length are codes, anything else embeddings."""
    refuse_key(hints, name, "a .npy file")
    with open_file(name) as file:
        size = file.seek(0, 2)
        file.seek(0)
        header = read_header(file, name, size)
    count = header.shape[0] if header.shape else 0

    def rows(start: int, stop: int) -> NDArray[Any]:
        with open_file(name) as file:
            return read_rows(file, name, size, start, stop)

    sidecar = read_sidecar(name, _KIND)
    coded = sidecar is not None or hints.n_bits is not None
    if hints.kind == "codes" or (hints.kind is None and coded):
        if sidecar is None and hints.kind is None and header.dtype != np.uint8:
            check_embeddings(header.shape, header.dtype, name)
        if len(header.shape) != 2 or header.dtype != np.uint8:
            raise FormatError(
                f"{name}: packed codes are uint8 of shape (n, width), the file has {header.dtype} "
                f"of shape {header.shape}"
            )
        return code_file(name, count, lambda a, b: _codes(rows(a, b)), sidecar, hints)
    check_embeddings(header.shape, header.dtype, name)
    return RowFile(
        name, "embeddings", count, header.shape[1], None, lambda a, b: Rows(rows(a, b)),
        dtype=str(header.dtype),
        mapped=None if is_url(name) else lambda: map_array(name),
    )  # fmt: skip


def _codes(rows: NDArray[Any]) -> CodeArray:
    return np.array(rows, dtype=np.uint8)


def _write_header(file: BinaryIO, n: int, width: int) -> int:
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (n, width)})
    return file.tell()
