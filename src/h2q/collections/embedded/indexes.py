"""faiss's binary indexes over a table: IVF and HNSW, which find most of the nearest, and MIH.

An index follows the table as it grows, and knows rows, not positions, so removals do not spoil it.
Any number of threads search it at once, as long as they ask in the same way; one that adds to it,
or sets it otherwise, waits until they are done.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.embedded import scans
from h2q.collections.embedded.scans import Hits, in_threads
from h2q.collections.embedded.table import CodeTable, Column
from h2q.collections.index_spec import IndexSpec

#: Fewer codes are scanned faster than an index is worth.
LEAST_INDEXED: Final = 20_000
#: Codes added at a time, so that an interrupt is heeded.
_BLOCK: Final = 50_000
#: An index is built anew when there are this many times the codes it was made for.
OUTGROWN: Final = 4
#: Of the table: more rows than this an index that cannot be built anew does not catch up with.
LONGEST_LAG: Final = 1 / 8
#: Of the table: to find more than this, a scan is faster.
_LARGEST_SHARE: Final = 1 / 16
#: Codes a cluster of IVF is trained with, at most.
_TRAINED_WITH: Final = 64
#: Keys longer than this find no more items, but take more flips of bits.
_LONGEST_KEY: Final = 24
#: Time of a look-up of a key, and of a candidate, in that of scanning a byte of a code.
_LOOK_UP: Final = 1500.0
_CANDIDATE: Final = 500.0
#: Codes looked at to learn how many share a key.
_SAMPLE: Final = 4096


class Gate:
    """Lets those in who search in the same way, or one alone who changes something."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._setting: object = None

    @contextmanager
    def shared(self, setting: object, apply: Callable[[], None]) -> Iterator[None]:
        """Search with a setting, which `apply` makes where it is another."""
        with self._condition:
            while self._inside and self._setting != setting:
                self._condition.wait()
            if self._setting != setting:
                apply()
                self._setting = setting
            self._inside += 1
        try:
            yield
        finally:
            with self._condition:
                self._inside -= 1
                if not self._inside:
                    self._condition.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Change something, after which nothing is set."""
        with self._condition:
            while self._inside:
                self._condition.wait()
            self._setting = None
            try:
                yield
            finally:
                self._condition.notify_all()


def positions_of(
    rows_of: NDArray[np.int64], table: CodeTable, labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Positions in a table of items found by their labels; -1 for what is not there.

    `rows_of` are the rows of the labels from 0 on; a label of -1 is none.
    """
    rows = rows_of[labels]
    positions = np.searchsorted(table.rows, rows)
    positions[positions == len(table.rows)] = 0
    held = (table.rows[positions] == rows) & table.alive[positions] & (labels >= 0)
    return np.where(held, positions, -1)


class RowIndex:
    """The index of a collection.

    Parameters
    ----------
    spec : IndexSpec
        "ivf", "hnsw" or "mih".
    may_build : bool
        Whether it is made where it is missing or outgrown: not where it could not be kept.
    """

    def __init__(self, spec: IndexSpec, may_build: bool) -> None:
        self.spec = spec
        self._may_build = may_build
        self._index: Any = None
        self._rows = Column(np.empty(0, dtype=np.int64))
        self._last_row = 0
        self._made_for = 0
        self._gate = Gate()

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def faiss(self) -> Any:
        """The index itself."""
        return self._index

    def follow(self, table: CodeTable) -> bool:
        """Bring it up to date with a table; return whether it can be used."""
        if len(table) < LEAST_INDEXED:
            return False
        if self._is_ready(table):
            return True
        with self._gate.alone():
            return self._is_ready(table) or self._follow(table)

    def _is_ready(self, table: CodeTable) -> bool:
        ready = self._index is not None and not self._is_stale(table)
        return ready and int(table.rows[-1]) <= self._last_row

    def _is_stale(self, table: CodeTable) -> bool:
        size = len(table)
        return len(self._rows) > 2 * size or size > OUTGROWN * self._made_for

    def _follow(self, table: CodeTable) -> bool:
        if self._index is None or self._is_stale(table):
            if self._may_build:
                self._build(table)
            return self._may_build
        start = int(np.searchsorted(table.rows, self._last_row, side="right"))
        if not self._may_build and len(table.rows) - start > LONGEST_LAG * len(table):
            return False
        self._add(table, start)
        return True

    # Searching

    def nearest(self, table: CodeTable, queries: CodeArray, k: int) -> list[Hits]:
        """Return `k` items near each query, nearest first, older first among equals.

        Distances are true; a nearer item may be missed. A query for which the index finds fewer
        than `k` items is answered by the exact scan.
        """
        gone = len(self) - len(table)
        fetch = k if gone <= 0 else k + k * gone // len(table) + 16
        if fetch > len(table) * _LARGEST_SHARE:
            return scans.nearest(table, queries, k)

        def search(share: slice) -> list[Hits]:
            distances, labels = self._index.search(np.ascontiguousarray(queries[share]), fetch)
            positions = self.positions(table, labels)
            hits = []
            for distance, position in zip(distances, positions, strict=True):
                held = position >= 0
                position, distance = position[held], distance[held]
                order = np.lexsort((position, distance))[:k]
                hits.append(Hits(position[order], distance[order]))
            return hits

        with self._gate.shared(("nearest", fetch), lambda: self._set_effort(fetch)):
            found = in_threads(search, len(queries))
        short = [n for n, hit in enumerate(found) if len(hit.values) < min(k, len(table))]
        if short:
            exact = scans.nearest(table, queries[short], k)
            for number, hit in zip(short, exact, strict=True):
                found[number] = hit
        return found

    def _set_effort(self, fetch: int) -> None:
        if self.spec.kind == "hnsw":
            self._index.hnsw.efSearch = max(self.spec.option("ef_search"), fetch)
        else:
            nlist = self._index.nlist
            probed = self.spec.options.get("nprobe", max(8, nlist // 16))
            self._index.nprobe = min(probed, nlist)

    def searching(self, setting: object, apply: Callable[[], None]) -> Any:
        """Hold the index as it is, set by `apply`, for the length of a `with` block."""
        return self._gate.shared(setting, apply)

    def positions(self, table: CodeTable, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in the table of what the index found; -1 for what is not there."""
        return positions_of(self._rows.array, table, labels)

    # Keeping it in a file

    def stored(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return it as arrays for a file, and what the file is to state of it."""
        with self._gate.alone():
            data: NDArray[np.uint8] = faiss.serialize_index_binary(self._index)
            facts = {"kind": self.spec.kind, "built_with": self.spec.built_with,
                     "last_row": self._last_row, "made_for": self._made_for}  # fmt: skip
            return {"index": data, "rows": self._rows.array}, facts

    def restore(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bool:
        """Take over what a file held; return whether it was of use."""
        stated = (facts["kind"], facts["built_with"])
        if stated != (self.spec.kind, self.spec.built_with):
            return False
        try:
            index = faiss.deserialize_index_binary(np.ascontiguousarray(arrays["index"]))
        except RuntimeError:  # another version of faiss wrote it
            return False
        with self._gate.alone():
            self._index = index
            self._rows = Column(arrays["rows"])
            self._last_row, self._made_for = facts["last_row"], facts["made_for"]
        return True

    # Making it

    def _build(self, table: CodeTable) -> None:
        alive = table.codes[table.alive] if table.dead else table.codes
        self._index = None  # not two at a time, and none where this one is interrupted
        self._rows, self._last_row = Column(np.empty(0, dtype=np.int64)), 0
        index = _empty(self.spec, alive)
        self._made_for = len(alive)
        self._index = index
        try:
            self._add(table, 0)
        except BaseException:
            self._index = None
            raise

    def _add(self, table: CodeTable, start: int) -> None:
        for first in range(start, len(table.rows), _BLOCK):
            positions = np.arange(first, min(first + _BLOCK, len(table.rows)))
            positions = positions[table.alive[positions]]
            self._index.add(table.codes[positions])
            self._rows = self._rows.extended(table.rows[positions])
            self._last_row = int(table.rows[min(first + _BLOCK, len(table.rows)) - 1])


def _empty(spec: IndexSpec, codes: CodeArray) -> Any:
    """Return an index without codes, trained where it needs that on `codes` (n, width)."""
    n_bits = 8 * codes.shape[1]
    if spec.kind == "ivf":
        return _ivf(spec, codes, n_bits)
    if spec.kind == "hnsw":
        index = faiss.IndexBinaryHNSW(n_bits, spec.option("m"))
        index.hnsw.efConstruction = spec.option("ef_construction")
        return index
    key = min(_LONGEST_KEY, max(4, round(math.log2(max(2, len(codes))))), n_bits)
    n_maps = min(spec.options.get("n_maps", max(1, n_bits // key)), n_bits)
    return faiss.IndexBinaryMultiHash(n_bits, n_maps, min(_LONGEST_KEY, n_bits // n_maps))


def _ivf(spec: IndexSpec, codes: CodeArray, n_bits: int) -> Any:
    nlist = min(spec.options.get("nlist", max(16, round(2 * math.sqrt(len(codes))))), len(codes))
    coarse = faiss.IndexBinaryFlat(n_bits)
    index = faiss.IndexBinaryIVF(coarse, n_bits, nlist)
    index.cp.min_points_per_centroid = 1  # else it warns on stdout
    index.cp.seed = 0
    sample = np.linspace(0, len(codes) - 1, min(len(codes), _TRAINED_WITH * nlist)).astype(int)
    index.train(np.ascontiguousarray(codes[sample]))
    return index


class RadiusIndex:
    """All items within a radius through multi-index hashing, exactly.

    The code is cut into m parts of b bits, each with a hash map of its own (Norouzi, Punjani &
    Fleet 2012, "Fast search in Hamming space with multi-index hashing"). Two codes at a distance of
    at most r differ in at most floor(r / m) bits of one of the parts, so looking up each part with
    up to that many bits flipped meets every item within r. faiss's `IndexBinaryMultiHash` does so
    and compares whole codes.

    Parameters
    ----------
    index : RowIndex
        Of the kind "mih".
    """

    def __init__(self, index: RowIndex) -> None:
        self._index = index
        self._measured_at = 0
        self._sharing = 0.0

    def within(self, table: CodeTable, queries: CodeArray, radius: int) -> list[Hits] | None:
        """Return all items at a distance of at most `radius` from each query, nearest first.

        None where the scan should be faster. The index follows the table already.
        """
        with self._index.searching(("within", radius), lambda: self._set_flips(radius)):
            if not self.worthwhile(table, radius):
                return None
            hashes = self._index.faiss

            def search(share: slice) -> list[Hits]:
                # faiss's radius is exclusive.
                bounds, distances, labels = hashes.range_search(
                    np.ascontiguousarray(queries[share]), radius + 1
                )
                positions = self._index.positions(table, labels.astype(np.int64))
                hits = []
                for start, stop in pairwise(bounds.astype(np.int64).tolist()):
                    position = positions[start:stop]
                    distance = distances[start:stop].astype(np.int32)
                    held = position >= 0
                    position, distance = position[held], distance[held]
                    order = np.lexsort((position, distance))
                    hits.append(Hits(position[order], distance[order]))
                return hits

            return in_threads(search, len(queries))

    def worthwhile(self, table: CodeTable, radius: int) -> bool:
        """Whether this should be faster than the scan."""
        probes = self._probes(radius)
        if probes * _LOOK_UP > table.codes.size:
            return False
        candidates = probes * len(table) * self._share_of_a_key(table)
        return probes * _LOOK_UP + candidates * _CANDIDATE < table.codes.size

    def _set_flips(self, radius: int) -> None:
        self._index.faiss.nflip = self._flips(radius)

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
