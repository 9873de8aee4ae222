"""The asymmetric score of a real query and a code, exactly and the same however it is asked for.

score(q, b) = sum_i q_i s_i, with s_i = +1 where bit i of b is set and -1 elsewhere. It is looked
up byte by byte and summed in float64 in a fixed order, so items of equal codes have equal scores
in every batch, and ties can be broken by the order of the items.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray

#: Signs of the 8 bits (MSB first) of each byte value.
_SIGNS: Final = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * 2.0 - 1.0


def byte_tables(rows: NDArray[np.float32], width: int) -> NDArray[np.float64]:
    """Contribution of every value of every byte of a code to the score of each query.

    Parameters
    ----------
    rows : ndarray of shape (nq, n_bits), float32
    width : int
        Bytes a code.

    Returns
    -------
    ndarray of shape (nq, width, 256), float64
    """
    padded = np.zeros((len(rows), width, 8))
    padded.reshape(len(rows), -1)[:, : rows.shape[1]] = rows
    tables = np.zeros((len(rows), width, 256))
    for bit in range(8):  # not a matrix product: its rounding depends on the size of the batch
        tables += padded[:, :, bit, None] * _SIGNS[:, bit]
    return tables


def scores_of_each(tables: NDArray[np.float64], codes: CodeArray) -> NDArray[np.float32]:
    """Scores of each query with its own candidates: codes (nq, c, width) -> (nq, c)."""
    total = np.zeros(codes.shape[:2])
    for byte in range(codes.shape[2]):
        total += np.take_along_axis(tables[:, byte], codes[:, :, byte].astype(np.intp), axis=1)
    return total.astype(np.float32)


def scores_of_all(tables: NDArray[np.float64], codes: CodeArray) -> NDArray[np.float32]:
    """Scores of each query with the same candidates: codes (c, width) -> (nq, c)."""
    total = np.zeros((len(tables), len(codes)))
    for byte in range(codes.shape[1]):
        total += tables[:, byte].take(codes[:, byte], axis=1)
    return total.astype(np.float32)
