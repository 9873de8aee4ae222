"""big-ann-benchmarks `.u8bin` (bytes) and `.fbin` (float32): two uint32, n and d, then the rows.

A `.u8bin` has d bytes a row: packed codes. A `.fbin` has real rows; of codes it has their signs, -1
and +1, one float32 a bit, for tools that know real rows only: the squared Euclidean distance is 4
times the Hamming distance.
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
from h2q.rowfiles.code_file import code_file
from h2q.rowfiles.rows import Hints, RowFile, Rows, check_stated, refuse_key
from h2q.rowfiles.sidecar import read_sidecar, written_with_items
from h2q.rowfiles.storage import is_url, open_file
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


def read_u8bin(name: str, hints: Hints) -> RowFile:
    """Open packed codes."""
    refuse_key(hints, name, "a .u8bin file")
    if hints.kind == "embeddings":
        raise InvalidInputError(f"{name} holds bytes (codes), and embeddings are needed")
    count, d = _shape(name, np.uint8)
    sidecar = read_sidecar(name, "u8bin")
    found = code_file(name, count, lambda a, b: _rows(name, np.uint8, d, a, b), sidecar, hints)
    if found.width != d:
        raise FormatError(f"{name}: codes of {found.n_bits} bits are {found.width} bytes, not {d}")
    return found


def read_fbin(name: str, hints: Hints) -> RowFile:
    """Open real rows; those a sidecar calls codes, or that are read as codes, by their signs."""
    refuse_key(hints, name, "a .fbin file")
    count, d = _shape(name, "<f4")
    sidecar = read_sidecar(name, "fbin")
    coded = sidecar is not None or hints.n_bits is not None
    if hints.kind == "embeddings" or (hints.kind is None and not coded):
        return RowFile(
            name, "embeddings", count, d, None, lambda a, b: Rows(_rows(name, "<f4", d, a, b)),
            dtype="float32", mapped=None if is_url(name) else lambda: load_rows(name),
        )  # fmt: skip
    if hints.n_bits not in (None, d):
        raise FormatError(f"{name}: has {d} columns, not {hints.n_bits}")
    check_stated(name, Hints(bit_order=hints.bit_order), bit_order="none")

    def codes(start: int, stop: int) -> CodeArray:
        try:
            packed: CodeArray = pack(_rows(name, "<f4", d, start, stop))
        except InvalidInputError as error:
            raise FormatError(f"{name}: {error}") from error
        return packed

    return code_file(name, count, codes, sidecar, Hints(d))


def save_rows(path: StrPath, rows: FloatArray) -> Path:
    """Write real rows (embeddings) as `.fbin`, float32, whole or not at all."""
    with np.errstate(over="ignore"):  # told below
        real = np.ascontiguousarray(rows, dtype="<f4")
    if real.ndim != 2 or max(real.shape) > _MOST:
        raise InvalidInputError(f"a .fbin file holds rows of shape (n, d), got {real.shape}")
    if not np.isfinite(real).all() and np.isfinite(rows).all():
        raise InvalidInputError("the rows hold numbers too large for float32, which .fbin has")
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
    n, d = _shape(str(path), "<f4")
    if n == 0:
        return np.empty((0, d), dtype="<f4")
    return np.memmap(path, dtype="<f4", mode="r", offset=_HEADER, shape=(n, d))


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


def _shape(name: str, dtype: DTypeLike) -> tuple[int, int]:
    with open_file(name) as file:
        header = np.frombuffer(file.read(_HEADER).ljust(_HEADER, b"\0"), dtype="<u4")
        size = file.seek(0, 2)
    n, d = (int(value) for value in header)
    expected = _HEADER + n * d * np.dtype(dtype).itemsize
    if size < _HEADER or d == 0 or size != expected:
        raise FormatError(
            f"{name}: {size:,} bytes, where its header (n = {n:,}, d = {d:,}) promises "
            f"{expected:,}; it is truncated, or no file of this format"
        )
    return n, d


def _rows(name: str, dtype: DTypeLike, d: int, start: int, stop: int) -> NDArray[Any]:
    kind = np.dtype(dtype)
    with open_file(name) as file:
        file.seek(_HEADER + start * d * kind.itemsize)
        data = file.read((stop - start) * d * kind.itemsize)
    if len(data) != (stop - start) * d * kind.itemsize:
        raise FormatError(f"{name}: truncated while it was read")
    return np.frombuffer(data, dtype=kind).reshape(stop - start, d)
