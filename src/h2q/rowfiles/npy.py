"""numpy `.npy`: packed codes as a uint8 matrix, ids and payloads beside it. No pickle."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.lib import format as npy

from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.errors import FormatError
from h2q.rowfiles.matrix import Hints, matrix_stream
from h2q.rowfiles.sidecar import read_sidecar, written_with_items
from h2q.rowfiles.stream import CodeStream

_KIND: Final = "npy"


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


def read(path: Path, hints: Hints) -> CodeStream:
    """Read it, memory-mapped."""
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(matrix, np.ndarray):
            raise ValueError("several arrays")
    except (ValueError, EOFError) as error:
        raise FormatError(f"{path}: not a .npy file, or a damaged one ({error})") from error
    if matrix.ndim != 2 or matrix.dtype != np.uint8:
        raise FormatError(
            f"{path}: packed codes are uint8 of shape (n, width), the file has {matrix.dtype} of "
            f"shape {matrix.shape}"
        )

    def rows(start: int, end: int) -> CodeArray:
        return np.array(matrix[start:end])

    return matrix_stream(path, len(matrix), rows, read_sidecar(path, _KIND), hints)


def _write_header(file: BinaryIO, n: int, width: int) -> int:
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (n, width)})
    return file.tell()
