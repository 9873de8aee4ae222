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

#: Signs of the 4 bits (MSB first) of each half byte.
_SIGNS: Final = np.unpackbits(np.arange(16, dtype=np.uint8)[:, None], axis=1)[:, 4:] * 2.0 - 1.0


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
    padded = np.zeros((len(rows), 2 * width, 4))
    padded.reshape(len(rows), -1)[:, : rows.shape[1]] = rows
    halves = np.zeros((len(rows), 2 * width, 16))
    for bit in range(4):  # not a matrix product: its rounding depends on the size of the batch
        halves += padded[:, :, bit, None] * _SIGNS[:, bit]
    high, low = halves[:, ::2, :, None], halves[:, 1::2, None, :]
    return (high + low).reshape(len(rows), width, 256)


def scores_of_each(tables: NDArray[np.float64], codes: CodeArray) -> NDArray[np.float32]:
    """Scores of each query with its own candidates: codes (nq, c, width) -> (nq, c)."""
    n_queries, width, _ = tables.shape
    starts = 256 * np.arange(n_queries * width).reshape(n_queries, 1, width)
    parts = tables.reshape(-1).take(starts + codes)
    total = parts[:, :, 0].copy()
    for byte in range(1, width):
        total += parts[:, :, byte]
    return total.astype(np.float32)


def scores_of_all(tables: NDArray[np.float64], codes: CodeArray) -> NDArray[np.float32]:
    """Scores of each query with the same candidates: codes (c, width) -> (nq, c)."""
    total = tables[:, 0].take(codes[:, 0], axis=1)
    for byte in range(1, codes.shape[1]):
        total += tables[:, byte].take(codes[:, byte], axis=1)
    return total.astype(np.float32)


def asymmetric_scores(row: NDArray[np.float32], codes: CodeArray) -> NDArray[np.float32]:
    """Inner product of a rotated row (n_bits,) with codes (c, width) as signs {-1, +1}."""
    scores: NDArray[np.float32] = scores_of_all(byte_tables(row[None], codes.shape[1]), codes)[0]
    return scores
