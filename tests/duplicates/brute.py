"""The same answers the slow way: every pair compared, every chain walked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from h2q.codes import hamming_distances


def brute_pairs(codes: NDArray[np.uint8], radius: int) -> list[tuple[int, int, int]]:
    table = hamming_distances(codes, codes)
    return [
        (i, j, int(table[i, j]))
        for i in range(len(codes))
        for j in range(i + 1, len(codes))
        if table[i, j] <= radius
    ]


def brute_groups(codes: NDArray[np.uint8], radius: int) -> list[list[int]]:
    """Sets of rows by union of pairs; sorted, those of one row left out."""
    parent = list(range(len(codes)))

    def root(row: int) -> int:
        while parent[row] != row:
            row = parent[row]
        return row

    for i, j, _ in brute_pairs(codes, radius):
        parent[max(root(i), root(j))] = min(root(i), root(j))
    members: dict[int, list[int]] = {}
    for row in range(len(codes)):
        members.setdefault(root(row), []).append(row)
    return sorted(sorted(rows) for rows in members.values() if len(rows) > 1)
