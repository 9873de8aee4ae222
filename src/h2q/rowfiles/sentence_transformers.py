"""sentence-transformers: the arrays of `quantize_embeddings`, precision "ubinary" and "binary".

"ubinary" is `numpy.packbits` of what is positive: our codes byte for byte. "binary" is the same
less 128, as int8. Both need no conversion of the order of bits; saved with `numpy.save`, "ubinary"
is read as `npy`.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array, CodeArray
from h2q.codes import check_codes
from h2q.errors import InvalidInputError

Precision: TypeAlias = Literal["ubinary", "binary"]


def to_precision(codes: Array, n_bits: int, precision: Precision = "ubinary") -> NDArray[Any]:
    """Return codes as sentence-transformers has embeddings of this precision.

    Parameters
    ----------
    codes : array of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    precision : {"ubinary", "binary"}

    Returns
    -------
    ndarray of shape (n, ceil(n_bits / 8)), uint8 or int8
    """
    packed = check_codes(codes, n_bits)
    if precision == "ubinary":
        return packed
    if precision == "binary":
        return (packed.astype(np.int16) - 128).astype(np.int8)
    raise InvalidInputError(f"the precision is 'ubinary' or 'binary', got {precision!r}")


def from_precision(embeddings: Array, n_bits: int) -> CodeArray:
    """Return quantized embeddings, uint8 ("ubinary") or int8 ("binary"), as codes.

    Raises
    ------
    InvalidInputError
        If they are of another type or width. The int8 of precision "int8" have a column a
        dimension and so another width.
    """
    values = np.asarray(embeddings)
    if values.dtype == np.int8:
        values = (values.astype(np.int16) + 128).astype(np.uint8)
    return check_codes(values, n_bits)
