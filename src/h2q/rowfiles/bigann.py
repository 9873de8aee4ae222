"""big-ann-benchmarks `.u8bin` (bytes) and `.fbin` (float32): two uint32, n and d, then the rows.

A `.u8bin` has d bytes a row: packed codes. A `.fbin` has their signs, -1 and +1, one float32 a bit,
for tools that know real rows only; the squared Euclidean distance is 4 times the Hamming distance.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from h2q._files import written_whole
from h2q._typing import CodeArray, FloatArray, StrPath
from h2q.codes import code_width, pack, unpack_signs
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.matrix import Hints, matrix_stream
from h2q.rowfiles.sidecar import read_sidecar, written_with_items
from h2q.rowfiles.stream import CodeStream

_HEADER: Final = 8
_MOST: Final = 2**32 - 1
_Encode: TypeAlias = Callable[[CodeArray], NDArray[Any]]


def write_u8bin(stream: CodeStream, path: Path) -> None:
    """Write packed codes, MSB first; d is the number of bytes."""
    _write(stream, path, "u8bin", code_width(stream.n_bits), lambda codes: codes)


def write_fbin(stream: CodeStream, path: Path) -> None:
    """Write signs as float32; d is the number of bits."""
    _write(
        stream, path, "fbin", stream.n_bits, lambda c: unpack_signs(c, stream.n_bits).astype("<f4")
    )


def read_u8bin(path: Path, hints: Hints) -> CodeStream:
    """Read packed codes, memory-mapped."""
    matrix = _map(path, np.uint8)

    def rows(start: int, end: int) -> CodeArray:
        return np.array(matrix[start:end])

    return matrix_stream(path, len(matrix), rows, read_sidecar(path, "u8bin"), hints)


def read_fbin(path: Path, hints: Hints) -> CodeStream:
    """Read the signs of real rows as codes; n_bits is d, and there is no order of bits."""
    matrix = _map(path, "<f4")
    sidecar = read_sidecar(path, "fbin")
    if sidecar is None:
        if hints.n_bits not in (None, matrix.shape[1]):
            raise FormatError(f"{path}: has {matrix.shape[1]} columns, not {hints.n_bits}")
        hints = Hints(matrix.shape[1])

    def rows(start: int, end: int) -> CodeArray:
        try:
            codes: CodeArray = pack(matrix[start:end])
        except InvalidInputError as error:
            raise FormatError(f"{path}: {error}") from error
        return codes

    return matrix_stream(path, len(matrix), rows, sidecar, hints)


def save_rows(path: StrPath, rows: FloatArray) -> Path:
    """Write real rows (embeddings) as `.fbin`, float32, whole or not at all."""
    real = np.ascontiguousarray(rows, dtype="<f4")
    if real.ndim != 2 or max(real.shape) > _MOST:
        raise InvalidInputError(f"a .fbin file holds rows of shape (n, d), got {real.shape}")
    with written_whole(path) as file:
        _write_header(file, *real.shape)
        file.write(real.tobytes())
    return Path(path)


def load_rows(path: StrPath) -> FloatArray:
    """Read real rows (embeddings) of a `.fbin` file, memory-mapped, shape (n, d), float32.

    Raises
    ------
    FormatError
        If it is truncated or no such file.
    """
    return _map(Path(path), "<f4")


def _write(stream: CodeStream, path: Path, kind: str, d: int, encode: _Encode) -> None:
    n = 0
    with written_with_items(path, kind, stream.n_bits) as (file, keep):
        _write_header(file, 0, d)
        for batch in stream.batches():
            file.write(encode(np.ascontiguousarray(batch.codes)).tobytes())
            keep(batch)
            n += len(batch.ids)
        if n > _MOST:
            raise InvalidInputError(
                f"{path}: the format counts to {_MOST:,}, there are {n:,} codes"
            )
        file.seek(0)
        _write_header(file, n, d)
        file.seek(0, 2)


def _write_header(file: BinaryIO, n: int, d: int) -> None:
    file.write(np.array([n, d], dtype="<u4").tobytes())


def _map(path: Path, dtype: DTypeLike) -> NDArray[Any]:
    kind = np.dtype(dtype)
    size = path.stat().st_size
    with path.open("rb") as file:
        header = np.frombuffer(file.read(_HEADER).ljust(_HEADER, b"\0"), dtype="<u4")
    n, d = (int(value) for value in header)
    expected = _HEADER + n * d * kind.itemsize
    if size < _HEADER or d == 0 or size != expected:
        raise FormatError(
            f"{path}: {size:,} bytes, where its header (n = {n:,}, d = {d:,}) promises "
            f"{expected:,}; it is truncated, or no {path.suffix} file"
        )
    if n == 0:
        return np.empty((0, d), dtype=kind)
    return np.memmap(path, dtype=kind, mode="r", offset=_HEADER, shape=(n, d))
