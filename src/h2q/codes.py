"""Packed binary codes: bit order, packing, Hamming distance, and the file that holds them.

One code is a row of ``ceil(n_bits / 8)`` bytes. Bit 0 is the highest bit of the first byte (MSB
first, the order of `numpy.packbits`, sentence-transformers, usearch and pgvector), a bit is 1
where the real value is positive, and the bits that fill the last byte are zero.
"""

from __future__ import annotations

import os
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array, CodeArray, StrPath
from h2q.errors import FormatError, InvalidInputError

__all__ = [
    "BIT_ORDER",
    "CodeFile",
    "check_codes",
    "code_width",
    "hamming_distances",
    "load_codes",
    "pack",
    "save_codes",
    "unpack",
    "unpack_signs",
]

#: The order of the bits in a byte, as files state it.
BIT_ORDER: Final = "msb"
_FORMAT: Final = "h2q-codes"
_FORMAT_VERSION: Final = 1
#: Pairs of codes compared at a time: the temporary arrays stay within some 40 MB.
_BLOCK_PAIRS: Final = 1 << 22


def code_width(n_bits: int) -> int:
    """Bytes a packed code of `n_bits` bits takes.

    Examples
    --------
    >>> code_width(64), code_width(12)
    (8, 2)
    """
    if n_bits < 1:
        raise InvalidInputError(f"n_bits must be at least 1, got {n_bits}")
    return -(-int(n_bits) // 8)


def pack(z: Array) -> Array:
    """Pack real rows, bits or booleans into codes: a bit is 1 where the value is positive.

    Parameters
    ----------
    z : array of shape (n, k)
        Any array of the array-API standard (numpy, torch on CPU or CUDA, ...) of real rows,
        {0, 1}, {-1, +1} or booleans. A value of exactly zero gives the bit 0.

    Returns
    -------
    array of shape (n, ceil(k / 8)), uint8
        In the namespace and on the device of `z`.

    Raises
    ------
    InvalidInputError
        If `z` is not two-dimensional, has no columns, or holds NaN.

    Examples
    --------
    >>> import numpy as np
    >>> pack(np.array([[0.3, -1.0, 2.0], [-0.1, 0.0, 0.5]]))
    array([[160],
           [ 32]], dtype=uint8)
    """
    if isinstance(z, Sequence):
        z = np.asarray(z)
    xp = array_api_compat.array_namespace(z)
    if z.ndim != 2 or z.shape[1] == 0:
        raise InvalidInputError(
            f"pack needs rows of shape (n, k) with k >= 1, got shape {tuple(z.shape)}"
        )
    if xp.isdtype(z.dtype, "complex floating"):
        raise InvalidInputError("pack needs real rows, got complex ones; pass their real part")
    if xp.isdtype(z.dtype, "real floating") and bool(xp.any(xp.isnan(z))):
        raise InvalidInputError(
            "pack: the rows hold NaN, which has no sign; remove or repair those rows"
        )
    bits = z if xp.isdtype(z.dtype, "bool") else z > 0
    if array_api_compat.is_numpy_namespace(xp):
        return np.packbits(bits, axis=1)
    n, k = bits.shape
    device = array_api_compat.device(z)
    filler = xp.zeros((n, -k % 8), dtype=xp.uint8, device=device)
    octets = xp.reshape(
        xp.concat([xp.astype(bits, xp.uint8), filler], axis=1), (n, code_width(k), 8)
    )
    weights = xp.asarray([128, 64, 32, 16, 8, 4, 2, 1], dtype=xp.uint8, device=device)
    return xp.sum(octets * weights, axis=2, dtype=xp.uint8)


def check_codes(codes: Array, n_bits: int) -> CodeArray:
    """Return `codes` as a contiguous numpy array of packed codes, or say what is wrong with it.

    Parameters
    ----------
    codes : array of shape (n, ceil(n_bits / 8)) or (ceil(n_bits / 8),), uint8
        A single code is taken as one row.
    n_bits : int
        Length of the codes in bits.

    Raises
    ------
    InvalidInputError
        If the dtype is not uint8, the width does not fit `n_bits`, or a filling bit is set.
    """
    width = code_width(n_bits)
    packed = _as_uint8(codes, "codes")
    if packed.shape[1] != width:
        raise InvalidInputError(
            f"codes of {n_bits} bits are {width} bytes wide, got {packed.shape[1]} bytes "
            f"(shape {packed.shape}); pass the n_bits the codes were made with"
        )
    filler = -n_bits % 8
    if filler and bool(np.any(packed[:, -1] & np.uint8((1 << filler) - 1))):
        raise InvalidInputError(
            f"codes of {n_bits} bits end in {filler} filling bits that must be zero, but some are "
            "set: the n_bits is wrong or the bits are not MSB first"
        )
    return packed


def unpack(codes: Array, n_bits: int) -> NDArray[np.uint8]:
    """Unpack codes to bits.

    Returns
    -------
    ndarray of shape (n, n_bits), uint8, of 0 and 1

    Examples
    --------
    >>> import numpy as np
    >>> unpack(np.array([[160]], dtype=np.uint8), 3)
    array([[1, 0, 1]], dtype=uint8)
    """
    return np.unpackbits(check_codes(codes, n_bits), axis=1, count=n_bits)


def unpack_signs(codes: Array, n_bits: int) -> NDArray[np.float32]:
    """Unpack codes to signs: -1 for the bit 0, +1 for the bit 1.

    Returns
    -------
    ndarray of shape (n, n_bits), float32
    """
    signs = unpack(codes, n_bits).astype(np.float32)
    signs *= 2
    signs -= 1
    return signs


def hamming_distances(a: Array, b: Array) -> NDArray[np.int32]:
    """Hamming distance of every code in `a` to every code in `b`.

    Parameters
    ----------
    a : array of shape (na, width), uint8
    b : array of shape (nb, width), uint8
        Packed codes of the same length. The order of the bits does not matter here.

    Returns
    -------
    ndarray of shape (na, nb), int32
        Number of differing bits. Work memory beyond the result stays within some 40 MB.

    Examples
    --------
    >>> import numpy as np
    >>> hamming_distances(np.array([[0b101]], np.uint8), np.array([[0], [0b111]], np.uint8))
    array([[2, 1]], dtype=int32)
    """
    left, right = _as_uint8(a, "a"), _as_uint8(b, "b")
    if left.shape[1] != right.shape[1]:
        raise InvalidInputError(
            f"the codes to compare differ in width: {left.shape[1]} and {right.shape[1]} bytes"
        )
    words_a, words_b = _as_words(left), _as_words(right)
    out = np.empty((len(left), len(right)), dtype=np.int32)
    for columns in _blocks(len(right), _BLOCK_PAIRS):
        wb = words_b[columns]
        for rows in _blocks(len(left), max(1, _BLOCK_PAIRS // max(1, len(wb)))):
            wa = words_a[rows]
            block = out[rows, columns]
            block[...] = np.bitwise_count(wa[:, None, 0] ^ wb[None, :, 0])
            for word in range(1, words_a.shape[1]):
                block += np.bitwise_count(wa[:, None, word] ^ wb[None, :, word])
    return out


@dataclass(frozen=True)
class CodeFile:
    """What a file of codes holds.

    Attributes
    ----------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    ids : list of int, list of str, or None
        The id of each row, where the file has them.
    """

    codes: CodeArray
    n_bits: int
    ids: list[int] | list[str] | None = None


def save_codes(
    path: StrPath, codes: Array, n_bits: int, ids: Sequence[int] | Sequence[str] | None = None
) -> Path:
    """Write codes to a `.npz` file, whole or not at all.

    The file states `format`, `format_version`, `n_bits` and `bit_order`, and needs no pickle.

    Parameters
    ----------
    path : str or path
        Where to write; nothing is appended to the name.
    codes : array of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    ids : sequence of n ids, all int or all str, optional

    Returns
    -------
    Path
        The path written.
    """
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(_FORMAT),
        "format_version": np.array(_FORMAT_VERSION),
        "n_bits": np.array(n_bits),
        "bit_order": np.array(BIT_ORDER),
        "codes": check_codes(codes, n_bits),
    }
    if ids is not None:
        arrays["ids"] = _id_array(ids, len(arrays["codes"]))
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def load_codes(path: StrPath) -> CodeFile:
    """Read a file written by `save_codes`.

    Raises
    ------
    FormatError
        If the file is truncated, is not a file of codes, or has a format version, a bit order or
        a content that cannot be read.
    """
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with archive:
            fields = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path}: not a file of h2q codes, or a damaged one ({error})") from error
    missing = {"format", "format_version", "n_bits", "bit_order", "codes"} - fields.keys()
    if missing or str(fields["format"]) != _FORMAT:
        lacks = f"; it lacks {', '.join(sorted(missing))}" if missing else ""
        raise FormatError(f"{path}: not a file of h2q codes{lacks}; write one with save_codes")
    version, order = fields["format_version"].item(), str(fields["bit_order"])
    if version != _FORMAT_VERSION:
        raise FormatError(
            f"{path}: format version {version}, this h2q reads {_FORMAT_VERSION}; upgrade h2q"
        )
    if order != BIT_ORDER:
        raise FormatError(f"{path}: bit order {order!r}, h2q reads {BIT_ORDER!r} only")
    try:
        n_bits = int(fields["n_bits"].item())
        codes = check_codes(fields["codes"], n_bits)
    except (ValueError, TypeError) as error:
        raise FormatError(f"{path}: the file contradicts itself ({error})") from error
    ids = fields["ids"].tolist() if "ids" in fields else None
    if ids is not None and len(ids) != len(codes):
        raise FormatError(f"{path}: {len(codes)} codes but {len(ids)} ids; the file is damaged")
    return CodeFile(codes, n_bits, ids)


def _as_uint8(codes: Array, name: str) -> CodeArray:
    if not isinstance(codes, np.ndarray) and array_api_compat.is_torch_array(codes):
        codes = codes.detach().cpu()
    packed = np.asarray(codes)
    if packed.dtype != np.uint8:
        raise InvalidInputError(
            f"{name} must be packed codes of dtype uint8, got {packed.dtype}; "
            "pack real rows with h2q.codes.pack first"
        )
    if packed.ndim == 1:
        packed = packed[None, :]
    if packed.ndim != 2:
        raise InvalidInputError(f"{name} must have shape (n, width), got shape {packed.shape}")
    return np.ascontiguousarray(packed)


def _as_words(packed: CodeArray) -> NDArray[np.unsignedinteger[Any]]:
    """View the bytes as uint64 words, padded with zeros where 8 does not divide the width."""
    width = packed.shape[1]
    if width in (1, 2, 4):  # small codes fit a small word: no padding, less memory traffic
        return packed.view(f"u{width}")
    if width % 8:
        packed = np.pad(packed, ((0, 0), (0, -width % 8)))
    return packed.view(np.uint64)


def _blocks(n: int, size: int) -> Iterator[slice]:
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def _id_array(ids: Sequence[int] | Sequence[str], n: int) -> NDArray[Any]:
    given = list(ids)
    if len(given) != n:
        raise InvalidInputError(f"{n} codes but {len(given)} ids; give one id a code")
    array = np.array(given, dtype=np.int64) if not given else np.array(given)
    if array.ndim != 1 or array.dtype.kind not in "iuU" or array.tolist() != given:
        raise InvalidInputError("the ids of a file of codes must be all int (64 bits) or all str")
    return array
