"""Rows scaled to norm sqrt(k), and the blocks in which long arrays are read."""

from __future__ import annotations

import math
from collections.abc import Iterator

import array_api_compat
from array_api_compat import array_namespace, device

from h2q._typing import Array

#: Entries read at a time: a block and the few arrays made from it stay within some 100 MB.
BLOCK_ENTRIES = 1 << 22


#: Entries read at a time on a GPU: for each block the host waits for it, so there are few.
DEVICE_ENTRIES = 1 << 26


def row_blocks(n_rows: int, n_columns: int, most: int | None = None) -> Iterator[slice]:
    """Slices that cover `n_rows` rows in blocks of bounded size."""
    step = max(1, (BLOCK_ENTRIES if most is None else most) // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def blocks_of(rows: Array) -> Iterator[slice]:
    """Slices that cover the rows of an array, of a size that suits where it is."""
    return row_blocks(rows.shape[0], rows.shape[1], None if on_host(rows) else DEVICE_ENTRIES)


def on_host(rows: Array) -> bool:
    """Whether an array is in the memory of the processor."""
    return bool(array_api_compat.is_numpy_array(rows)) or str(device(rows)).startswith("cpu")


def to_sphere(z: Array) -> tuple[Array, Array]:
    """Scale rows to norm sqrt(k), the norm of a row of -1 and +1 (arXiv 2311.04207, sec. 3).

    Parameters
    ----------
    z : array of shape (n, k)
        Finite, real floating point.

    Returns
    -------
    rows : array of shape (n, k)
        Rows of zeros, which have no direction, stay zero.
    is_zero : array of shape (n,), bool
        Which rows those are.
    """
    xp = array_namespace(z)
    # Dividing by the largest entry first keeps the squares from overflowing or vanishing.
    largest = xp.max(xp.abs(z), axis=1, keepdims=True)
    is_zero = largest == 0
    z = z / xp.where(is_zero, xp.ones_like(largest), largest)
    norm = xp.sqrt(xp.sum(z * z, axis=1, keepdims=True))
    scale = math.sqrt(z.shape[1]) / xp.where(is_zero, xp.ones_like(norm), norm)
    return z * scale, is_zero[:, 0]
