"""The asymmetric score of a real query and a code, exactly and the same however it is asked for.

score(q, b) = sum_i q_i s_i, with s_i = +1 where bit i of b is set and -1 elsewhere. The q_i are
rounded to multiples of a step so small (2^-50 of their sum) that every sum of them is exact in
float64, whatever its order. So items of equal codes have equal scores in every batch and by every
way of adding, and ties can be broken by the order of the items.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray

#: Signs of the 8 bits (MSB first) of each byte.
_SIGNS: Final = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) * 2.0 - 1.0
#: Every sum of a row's entries stays below so many bits, and is exact.
_BITS: Final = 50


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
    padded = np.zeros((len(rows), 8 * width))
    padded[:, : rows.shape[1]] = rows
    total = np.maximum(np.abs(padded).sum(axis=1, keepdims=True), 1e-300)
    step = np.exp2(np.ceil(np.log2(total)) - _BITS)
    exact = np.rint(padded / step) * step
    tables: NDArray[np.float64] = np.matmul(exact.reshape(-1, 8), _SIGNS.T)
    return tables.reshape(len(rows), width, 256)


def scores_of_each(tables: NDArray[np.float64], codes: CodeArray) -> NDArray[np.float64]:
    """Scores of each query with its own candidates: codes (nq, c, width) -> (nq, c)."""
    n_queries, width, _ = tables.shape
    starts = (256 * np.arange(n_queries * width)).reshape(n_queries, 1, width)
    scores: NDArray[np.float64] = tables.reshape(-1).take(starts + codes).sum(axis=2)
    return scores


def scores_of_all(tables: NDArray[np.float64], codes: CodeArray) -> NDArray[np.float64]:
    """Scores of each query with the same candidates: codes (c, width) -> (nq, c)."""
    total = tables[:, 0].take(codes[:, 0], axis=1)
    for byte in range(1, codes.shape[1]):
        total += tables[:, byte].take(codes[:, byte], axis=1)
    return total


def asymmetric_scores(row: NDArray[np.float32], codes: CodeArray) -> NDArray[np.float32]:
    """Inner product of a rotated row (n_bits,) with codes (c, width) as signs {-1, +1}."""
    found = scores_of_all(byte_tables(row[None], codes.shape[1]), codes)[0]
    scores: NDArray[np.float32] = found.astype(np.float32)
    return scores
