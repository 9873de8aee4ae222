"""All items within a radius through multi-index hashing, exactly.

The code is cut into m parts of b bits, each with a hash map of its own (Norouzi, Punjani & Fleet
2012, "Fast search in Hamming space with multi-index hashing"). Two codes at a distance of at most
r differ in at most floor(r / m) bits of one of the parts, so looking up each part with up to that
many bits flipped meets every item within r. faiss's `IndexBinaryMultiHash` does so and compares
whole codes.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import numpy as np

from h2q._typing import CodeArray
from h2q.collections.embedded.hits import Hits, in_threads
from h2q.collections.embedded.row_index import RowIndex
from h2q.collections.embedded.table import CodeTable

#: Time of a look-up of a key, and of a candidate, in that of scanning a byte of a code.
_LOOK_UP: Final = 1500.0
_CANDIDATE: Final = 500.0
#: Codes looked at to learn how many share a key.
_SAMPLE: Final = 4096


class RadiusIndex:
    """Searches by radius through a `RowIndex` of the kind "mih"."""

    def __init__(self, index: RowIndex) -> None:
        self._index = index
        self._measured_at = 0
        self._sharing = 0.0

    def worthwhile(self, table: CodeTable, radius: int) -> bool:
        """Whether this should be faster than the scan. The index follows the table already."""
        probes = self._probes(radius)
        if probes * _LOOK_UP > table.codes.size:
            return False
        candidates = probes * len(table) * self._share_of_a_key(table)
        return probes * _LOOK_UP + candidates * _CANDIDATE < table.codes.size

    def within(self, table: CodeTable, queries: CodeArray, radius: int) -> list[Hits]:
        """Return all items at a distance of at most `radius` from each query, nearest first."""
        hashes = self._index.faiss
        hashes.nflip = self._flips(radius)

        def search(share: slice) -> list[Hits]:
            # faiss's radius is exclusive.
            bounds, distances, labels = hashes.range_search(
                np.ascontiguousarray(queries[share]), radius + 1
            )
            positions = self._index.positions(table, labels.astype(np.int64))
            hits = []
            for start, stop in pairwise(bounds.astype(np.int64).tolist()):
                position, distance = positions[start:stop], distances[start:stop].astype(np.int32)
                held = position >= 0
                position, distance = position[held], distance[held]
                order = np.lexsort((position, distance))
                hits.append(Hits(position[order], distance[order]))
            return hits

        return in_threads(search, len(queries))

    def _flips(self, radius: int) -> int:
        hashes = self._index.faiss
        return min(radius // int(hashes.nhash), int(hashes.b))

    def _probes(self, radius: int) -> int:
        hashes = self._index.faiss
        flips = range(self._flips(radius) + 1)
        return int(hashes.nhash) * sum(math.comb(int(hashes.b), flip) for flip in flips)

    def _share_of_a_key(self, table: CodeTable) -> float:
        """How likely two codes have the same key, by a sample: codes of alike items share many."""
        if not 0.5 < len(table) / max(1, self._measured_at) < 2:
            rows = np.linspace(0, len(table.codes) - 1, _SAMPLE).astype(int)
            bits = np.unpackbits(table.codes[rows], axis=1, bitorder="little")
            n_maps, key = int(self._index.faiss.nhash), int(self._index.faiss.b)
            powers = 1 << np.arange(key, dtype=np.int64)
            shares = []
            for part in range(n_maps):
                keys = bits[:, part * key : (part + 1) * key] @ powers
                _, counts = np.unique(keys, return_counts=True)
                shares.append((counts * (counts - 1)).sum() / (_SAMPLE * (_SAMPLE - 1)))
            self._sharing = max(float(np.mean(shares)), 2.0**-key)
            self._measured_at = len(table)
        return self._sharing
