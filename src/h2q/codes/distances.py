"""Hamming distance in bulk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array, CodeArray
from h2q.codes.packing import as_uint8
from h2q.errors import InvalidInputError

#: Pairs of codes compared at a time: the temporary arrays stay within some 40 MB.
_BLOCK_PAIRS: Final = 1 << 22


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

    Raises
    ------
    InvalidInputError
        If they are no packed codes, or differ in width.

    Examples
    --------
    >>> import numpy as np
    >>> hamming_distances(np.array([[0b101]], np.uint8), np.array([[0], [0b111]], np.uint8))
    array([[2, 1]], dtype=int32)
    """
    left, right = as_uint8(a, "a"), as_uint8(b, "b")
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
