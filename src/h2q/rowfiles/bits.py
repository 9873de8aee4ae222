"""The order of the bits in a byte, converted at the border and nowhere else."""

from __future__ import annotations

from typing import Final

import numpy as np

from h2q._typing import CodeArray
from h2q.codes import check_codes
from h2q.errors import FormatError, InvalidInputError

_REVERSED: Final = np.packbits(
    np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1), axis=1, bitorder="little"
).ravel()


def reverse_bits(codes: CodeArray) -> CodeArray:
    """Turn codes from MSB first to LSB first, or back.

    Examples
    --------
    >>> reverse_bits(np.array([[0b10100000]], np.uint8))
    array([[5]], dtype=uint8)
    """
    turned: CodeArray = _REVERSED[codes]
    return turned


def to_msb(codes: CodeArray, bit_order: str, n_bits: int, name: str) -> CodeArray:
    """Return codes as read from the file `name`, MSB first and checked.

    Raises
    ------
    FormatError
        If they are not codes of `n_bits` bits in that order.
    """
    if bit_order not in ("msb", "lsb"):
        raise FormatError(f"{name}: bit order {bit_order!r}; it is 'msb' or 'lsb'")
    try:
        return check_codes(codes if bit_order == "msb" else reverse_bits(codes), n_bits)
    except InvalidInputError as error:
        raise FormatError(f"{name}: {error}") from error
