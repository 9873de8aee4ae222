"""Arrays in a file, with checksums that find every kind of damage.

The file is read, not mapped: what others do to it later changes no array, and ends no process. The
checksums look at every byte anyhow. The layout is that of safetensors, so any of its readers can
read the file: 8 bytes with the length of the header, the header (JSON), the arrays. Under
`__metadata__` stand our facts (JSON) and their CRC-32; the facts hold the checksum of each array.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._files import written_whole
from h2q.errors import FormatError

_NAMES: Final = {"U8": np.uint8, "I32": np.int32, "I64": np.int64}
_ALIGNMENT: Final = 64
_LONGEST_HEADER: Final = 1 << 20
#: 64-bit words of which the sum is taken: a checksum at the speed of memory.
_BLOCK_WORDS: Final = 8192

Arrays = dict[str, NDArray[Any]]


def write(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write arrays (uint8, int32, int64) and facts (JSON) to a file, whole or not at all."""
    header: dict[str, Any] = {}
    ready = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    sums = {name: _checksum(array) for name, array in ready.items()}
    text = json.dumps({**facts, "sums": sums}, sort_keys=True)
    header["__metadata__"] = {"facts": text, "crc32": str(zlib.crc32(text.encode()))}
    end = 0
    # The widest first, so that each is aligned to its type.
    for name, array in sorted(ready.items(), key=lambda each: -each[1].itemsize):
        start, end = end, end + array.nbytes
        kind = next(kind for kind, dtype in _NAMES.items() if dtype == array.dtype)
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [start, end]}
    encoded = json.dumps(header).encode()
    encoded += b" " * (-(8 + len(encoded)) % _ALIGNMENT)
    with written_whole(path) as file:
        file.write(len(encoded).to_bytes(8, "little") + encoded)
        for name in header:
            if name != "__metadata__":
                file.write(ready[name].reshape(-1).view(np.uint8).data)


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """Return the facts and the arrays.

    Raises
    ------
    FormatError
        If the file is truncated, damaged or of another kind.
    OSError
        If it cannot be read.
    """
    data = np.fromfile(path, dtype=np.uint8) if path.is_file() else np.empty(0, np.uint8)
    if len(data) < 8:
        raise FormatError(f"{path}: truncated")
    try:
        length = int.from_bytes(data[:8].tobytes(), "little")
        if length > min(_LONGEST_HEADER, len(data) - 8):
            raise FormatError(f"{path}: truncated, or of another kind")
        header = json.loads(data[8 : 8 + length].tobytes())
        metadata = header.pop("__metadata__")
        if str(zlib.crc32(metadata["facts"].encode())) != metadata["crc32"]:
            raise FormatError(f"{path}: its header is damaged")
        facts = json.loads(metadata["facts"])
        arrays = {name: _array(data[8 + length :], entry) for name, entry in header.items()}
        if {name: _checksum(array) for name, array in arrays.items()} != facts["sums"]:
            raise FormatError(f"{path}: its content is damaged")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: damaged, or of another kind ({error!r})") from error
    return facts, arrays


def _array(data: NDArray[np.uint8], entry: Mapping[str, Any]) -> NDArray[Any]:
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= len(data):
        raise FormatError("truncated")
    array: NDArray[Any] = data[start:end].view(_NAMES[entry["dtype"]]).reshape(entry["shape"])
    return array


def _checksum(array: NDArray[Any]) -> int:
    """CRC-32 of the sums of all blocks, and of the shape and type."""
    data = array.reshape(-1).view(np.uint8)
    whole = len(data) // (8 * _BLOCK_WORDS) * (8 * _BLOCK_WORDS)
    words = data[:whole].view(np.uint64).reshape(-1, _BLOCK_WORDS)
    sums = words.sum(axis=1, dtype=np.uint64)
    about = f"{array.dtype} {array.shape}".encode()
    return zlib.crc32(data[whole:].tobytes(), zlib.crc32(sums.tobytes(), zlib.crc32(about)))
