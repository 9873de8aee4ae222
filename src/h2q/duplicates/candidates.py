"""Pairs of photos that may show the same picture: by perceptual hash, and by code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.duplicates.looks import HASH_BITS, TURNS, Look
from h2q.duplicates.pairs import near_pairs

_QUERIES: Final = 4096  # a block of them is compared with all at once


class Candidate(NamedTuple):
    """Two photos (places in a list, the first below the second) to look at.

    Attributes
    ----------
    first, second : int
    turn : str
        How the second would have to be turned to lie as the first (`looks.TURNS`).
    distance : int
        Of their perceptual hashes then, in bits.
    """

    first: int
    second: int
    turn: str
    distance: int


def by_hash(looks: Sequence[Look], radius: int) -> list[Candidate]:
    """Find all pairs whose perceptual hashes are within `radius` bits, upright.

    Parameters
    ----------
    looks : sequence of Look
    radius : int
    """
    if len(looks) < 2:
        return []
    hashes = np.stack([look.hashes[0] for look in looks])
    pairs = near_pairs(hashes, HASH_BITS, radius)
    return [Candidate(a, b, "upright", distance) for a, b, distance in pairs.rows()]


def by_turned_hash(looks: Sequence[Look], radius: int) -> list[Candidate]:
    """Find all pairs whose hashes are within `radius` bits where one is turned or mirrored.

    Parameters
    ----------
    looks : sequence of Look
    radius : int
    """
    if len(looks) < 2:
        return []
    index = faiss.IndexBinaryFlat(HASH_BITS)
    index.add(np.stack([look.hashes[0] for look in looks]))
    found: dict[tuple[int, int], Candidate] = {}
    for number, turn in enumerate(TURNS):
        if number == 0:
            continue
        turned = np.stack([look.hashes[number] for look in looks])
        for start in range(0, len(turned), _QUERIES):
            block = turned[start : start + _QUERIES]
            limits, distances, rows = index.range_search(block, radius + 1)  # exclusive
            ends = np.asarray(limits, dtype=np.int64)
            queries = np.repeat(np.arange(len(block)) + start, ends[1:] - ends[:-1])
            for query, row, distance in zip(
                queries.tolist(), rows.tolist(), distances.tolist(), strict=True
            ):
                # `query` turned lies as `row` does; each pair is met from both sides.
                if row < query:
                    known = found.get((row, query))
                    if known is None or distance < known.distance:
                        found[row, query] = Candidate(row, query, turn, int(distance))
    return list(found.values())


def by_code(
    codes: CodeArray, n_bits: int, radius: int, most: int
) -> Iterator[tuple[int, int, int]]:
    """Yield pairs (first, second, distance) of codes within a radius, nearest neighbours only.

    Parameters
    ----------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    radius : int
        In bits, inclusive.
    most : int
        Neighbours of each row at most; equally near ones beyond it are left out.
    """
    if len(codes) < 2:
        return
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(np.ascontiguousarray(codes))
    seen: set[tuple[int, int]] = set()
    for start in range(0, len(codes), _QUERIES):
        block: NDArray[np.uint8] = np.ascontiguousarray(codes[start : start + _QUERIES])
        distances, rows = index.search(block, min(most + 1, len(codes)))
        for place, (near, others) in enumerate(
            zip(distances.tolist(), rows.tolist(), strict=True), start=start
        ):
            for distance, other in zip(near, others, strict=True):
                pair = (min(place, other), max(place, other))
                if other != place and distance <= radius and pair not in seen:
                    seen.add(pair)
                    yield (*pair, int(distance))
