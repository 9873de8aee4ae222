"""A view of a collection at one moment, and what a search of it answers, by rank."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.embedded import scans
from h2q.collections.embedded.cells import CellIndex
from h2q.collections.embedded.indexes import RadiusIndex, RowIndex
from h2q.collections.embedded.scans import Hits, ProvenScan
from h2q.collections.embedded.table import CodeTable, Column
from h2q.collections.neighbours import Neighbours
from h2q.collections.shortlists import (
    DEFAULT_OVERSAMPLE,
    distances_to,
    rerank,
    shortlist_length,
)
from h2q.errors import FormatError
from h2q.ranks import Candidates, Keep, Queries, RankSpec, shortlist_rank


class Records:
    """What is kept of the items' rows, by row number; it never changes.

    `rows` (n,) int64 ascending; `records` (n, width) uint8.
    """

    def __init__(self, rows: Column[np.int64], records: Column[np.uint8]) -> None:
        self.rows, self.records = rows, records

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the records of rows, shape (len(rows), width).

        Raises
        ------
        FormatError
            If one is missing.
        """
        known = self.rows.array
        positions = np.searchsorted(known, rows)
        if len(rows) and (positions.max() >= len(known) or (known[positions] != rows).any()):
            raise FormatError(
                "damaged: the records of some items are missing; restore it from a copy"
            )
        found: NDArray[np.uint8] = self.records.array[positions]
        return found


class Ways:
    """The ways to search tables of one collection (or of one condition), shared by its views."""

    def __init__(self, index: RowIndex | CellIndex | None = None) -> None:
        self.by_score = index if isinstance(index, CellIndex) else None
        self.index = index if isinstance(index, RowIndex) else None
        self.by_radius = None
        if self.index is not None and self.index.spec.kind == "mih":
            self.by_radius = RadiusIndex(self.index)
        self._scans: dict[str, ProvenScan] = {}

    def scan(self, rank: RankSpec, quantizer: Any) -> ProvenScan:
        """Return what searches by a rank that scans all codes; `quantizer` of the collection."""
        if rank.scorer is None:
            raise ValueError(f"the rank {rank.name!r} scans nothing")
        found = self._scans.get(rank.name)
        if found is None:
            found = self._scans.setdefault(rank.name, ProvenScan(rank.scorer(quantizer)))
        return found


class View:
    """The items at one moment: what is here never changes, whatever is written meanwhile.

    Parameters
    ----------
    table : CodeTable
    ways : Ways
    records : Records, optional
        Of the items of the table, where they were asked for.
    """

    def __init__(self, table: CodeTable, ways: Ways, records: Records | None = None) -> None:
        self.table, self.ways, self.records = table, ways, records

    def approximate(self) -> bool:
        """Whether `nearest` may miss items: then it is what finds shortlists, too."""
        if self.ways.index is None or self.ways.by_radius is not None:
            return False
        return self.ways.index.follow(self.table)

    def prepare(self) -> None:
        """Make the index now, where there is one."""
        for index in (self.ways.index, self.ways.by_score):
            if index is not None:
                index.follow(self.table)

    def best(self, queries: Queries, k: int) -> list[Hits]:
        """Return the `k` items of the highest score by the rank that finds shortlists.

        Exact, unless there is an index that finds items by that score.
        """
        by_score = self.ways.by_score
        if by_score is not None and by_score.follow(self.table):
            found = by_score.nearest(self.table, queries, k)
            if found is not None:
                return found
        rank = shortlist_rank(queries.quantizer)
        return self.ways.scan(rank, queries.quantizer).nearest(self.table, queries, k)

    def nearest(self, codes: CodeArray, k: int) -> list[Hits]:
        """Return the `k` nearest items by Hamming distance of each query."""
        if self.ways.index is not None and self.approximate():
            return self.ways.index.nearest(self.table, codes, k)
        return scans.nearest(self.table, codes, k)

    def within(self, codes: CodeArray, radius: int) -> list[Hits]:
        """Return all items at a distance of at most `radius` from each query, nearest first."""
        index, by_radius = self.ways.index, self.ways.by_radius
        if index is not None and by_radius is not None and index.follow(self.table):
            found = by_radius.within(self.table, codes, radius)
            if found is not None:
                return found
        return scans.within(self.table, codes, radius)

    def search(
        self,
        queries: Queries,
        rank: RankSpec,
        k: int,
        *,
        oversample: int | None,
        keep: Keep,
        n_bits: int,
    ) -> Neighbours:
        """Find the `k` best items for each query.

        Ranks with a scan of their own, and those by distance, are exact, "embedding" too: its
        shortlist is all items no farther, by Hamming distance, than the k-th nearest. The others
        order the items of the highest score by the default rank. Where the view is approximate,
        every rank orders its shortlist of the nearest items by Hamming distance; with an index of
        scores (`CellIndex`) the default rank is approximate, and those that order its shortlist.

        Parameters
        ----------
        queries : Queries
        rank : RankSpec
        k : int
        oversample : int, optional
            Items of a shortlist for each item asked for, where the rank orders one.
        keep, n_bits
            Of the collection.
        """
        if rank.score is None or queries.rows is None:
            hits = self.nearest(queries.codes, k)
            return Neighbours(self._ids(hits), [hit.values for hit in hits])
        approximate = self.approximate()
        if rank.scorer is not None and not approximate:
            if rank is shortlist_rank(queries.quantizer):
                hits = self.best(queries, k)
            else:
                hits = self.ways.scan(rank, queries.quantizer).nearest(self.table, queries, k)
            distances = [
                distances_to(code, self.table.codes[hit.positions])
                for code, hit in zip(queries.codes, hits, strict=True)
            ]
            return Neighbours(self._ids(hits), distances, [hit.values for hit in hits])
        # The time of an index grows with the shortlist.
        size = k * (oversample or DEFAULT_OVERSAMPLE)
        size = size if approximate else shortlist_length(k, oversample)
        ids, distances, scores = [], [], []
        state = rank.prepared(queries)
        for number, positions in enumerate(self._shortlists(queries, rank, k, size, approximate)):
            oldest_first = np.sort(positions)
            records = None
            if rank.needs_records and self.records is not None:
                records = self.records.of(self.table.rows[oldest_first])
            candidates = Candidates(self.table.codes[oldest_first], records, keep, n_bits)
            ranked = rerank(rank, queries, state, number, candidates, k=k)
            ids.append(self.table.ids_at(oldest_first[ranked.order]))
            distances.append(ranked.distances)
            if ranked.scores is not None:
                scores.append(ranked.scores)
        return Neighbours(ids, distances, scores)

    def _shortlists(
        self, queries: Queries, rank: RankSpec, k: int, size: int, approximate: bool
    ) -> list[NDArray[np.int64]]:
        if approximate:
            return [hit.positions for hit in self.nearest(queries.codes, size)]
        if rank.distance_first:
            found = scans.nearest(self.table, queries.codes, size)
            return [self._with_all_ties(queries, i, hit, k) for i, hit in enumerate(found)]
        return [hit.positions for hit in self.best(queries, size)]

    def _with_all_ties(
        self, queries: Queries, number: int, hits: Hits, k: int
    ) -> NDArray[np.int64]:
        """Positions of all items as near as the k-th, of which `hits` are the nearest."""
        table = self.table
        if len(hits.values) <= k and len(hits.values) == len(table):
            return hits.positions
        farthest = hits.values[k - 1]
        if len(hits.values) < len(table) and hits.values[-1] == farthest:  # ties may be missing
            code = queries.codes[number : number + 1]
            return scans.within(table, code, int(farthest))[0].positions
        near: NDArray[np.int64] = hits.positions[hits.values <= farthest]
        return near

    def _ids(self, hits: list[Hits]) -> list[list[int | str]]:
        return [self.table.ids_at(hit.positions) for hit in hits]
