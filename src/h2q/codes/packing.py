"""Real rows or bits to packed codes, and back."""

from __future__ import annotations

import sys
from typing import Final

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from h2q._numbers import whole_number
from h2q._typing import Array, CodeArray
from h2q.errors import InvalidInputError

#: Times eight bytes of 0 or 1 as one little-endian word: its top byte then holds them, MSB first
#: (byte i, at bit 8i, is moved to bit 63 - i; no two of the 64 products meet, so nothing carries).
_GATHER: Final = sum(1 << (63 - 9 * i) for i in range(8)) - (1 << 64)
_HOLDS_NAN: Final = "pack: the rows hold NaN, which has no sign; remove or repair those rows"
#: The order of the bits in a byte, as files state it.
BIT_ORDER: Final = "msb"
#: The longest code: up to here distances are exact in float32, in which faiss gives some of them.
MOST_BITS: Final = 1 << 24


def code_width(n_bits: int) -> int:
    """Bytes a packed code of `n_bits` bits takes.

    Raises
    ------
    InvalidInputError
        If `n_bits` is no whole number from 1 to `MOST_BITS`.

    Examples
    --------
    >>> code_width(64), code_width(12)
    (8, 2)
    """
    return -(-whole_number(n_bits, "n_bits", most=MOST_BITS) // 8)


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
    if not array_api_compat.is_array_api_obj(z):  # lists, data frames
        z = np.asarray(z)
    if isinstance(z, np.ndarray) and z.dtype.kind not in "biufc":
        raise InvalidInputError(f"pack needs real rows, bits or booleans, got {z.dtype}")
    if np.ma.is_masked(z):
        raise InvalidInputError("pack: the rows are masked, and a mask has no bit; fill it first")
    if type(z) is np.ndarray and z.dtype == np.float32 and z.ndim == 2 and len(z) == 1 and z.size:
        # A single query: the same without asking what kind of array it is.
        if np.isnan(z).any():
            raise InvalidInputError(_HOLDS_NAN)
        return np.packbits(z > 0, axis=1)
    xp = array_api_compat.array_namespace(z)
    if z.ndim != 2 or z.shape[1] == 0:
        raise InvalidInputError(
            f"pack needs rows of shape (n, k) with k >= 1, got shape {tuple(z.shape)}"
        )
    if xp.isdtype(z.dtype, "complex floating"):
        raise InvalidInputError("pack needs real rows, got complex ones; pass their real part")
    if xp.isdtype(z.dtype, "real floating") and bool(xp.any(xp.isnan(z))):
        raise InvalidInputError(_HOLDS_NAN)
    bits = z if xp.isdtype(z.dtype, "bool") else z > 0
    n, k = bits.shape
    if array_api_compat.is_numpy_namespace(xp):
        if k % 8 == 0:  # no filling bits between the rows: a third of the time
            return np.packbits(np.ascontiguousarray(bits).reshape(-1)).reshape(n, k // 8)
        return np.packbits(bits, axis=1)
    if array_api_compat.is_torch_namespace(xp) and k % 8 == 0 and sys.byteorder == "little":
        octets = xp.astype(bits, xp.bool).contiguous().view(xp.uint8).view(xp.int64)
        return (((octets * _GATHER) >> 56) & 255).to(xp.uint8)
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
    packed = as_uint8(codes, "codes")
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

    Raises
    ------
    InvalidInputError
        As `check_codes`.

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

    Raises
    ------
    InvalidInputError
        As `check_codes`.
    """
    signs = unpack(codes, n_bits).astype(np.float32)
    signs *= 2
    signs -= 1
    return signs


def as_uint8(codes: Array, name: str) -> CodeArray:
    """Return codes as a contiguous numpy array (n, width); `name` is what errors call it."""
    if not isinstance(codes, np.ndarray) and array_api_compat.is_torch_array(codes):
        codes = codes.detach().cpu()
    if np.ma.is_masked(codes):
        raise InvalidInputError(
            f"{name} are masked, and a mask would be lost; leave these rows out"
        )
    packed = np.asarray(codes)
    if packed.dtype != np.uint8:
        floating = packed.dtype.kind == "f"
        remedy = (
            "pack real rows with h2q.codes.pack first"
            if floating
            else "give real rows, of whole numbers too, as floats (rows.astype('float32'))"
        )
        raise InvalidInputError(
            f"{name} must be packed codes of dtype uint8, got {packed.dtype}; {remedy}"
        )
    if packed.ndim == 1:
        packed = packed[None, :]
    if packed.ndim != 2:
        raise InvalidInputError(f"{name} must have shape (n, width), got shape {packed.shape}")
    return np.ascontiguousarray(packed)
