"""Codes to search, with the ways to search them."""

from __future__ import annotations

from typing import Any

from h2q._typing import CodeArray
from h2q.collections.embedded import approximate_scan, hamming_scan
from h2q.collections.embedded.hits import Hits
from h2q.collections.embedded.proven_scan import ProvenScan
from h2q.collections.embedded.radius_index import RadiusIndex
from h2q.collections.embedded.row_index import RowIndex
from h2q.collections.embedded.table import CodeTable
from h2q.ranks import RankSpec


class View:
    """A table and what is derived from it, made when first used.

    Parameters
    ----------
    table : CodeTable
    index : RowIndex, optional
        Of this table, where the collection has one.
    """

    def __init__(self, table: CodeTable, index: RowIndex | None = None) -> None:
        self.table = table
        self._scans: dict[str, ProvenScan] = {}
        self._index = index
        self._by_radius = None
        if index is not None and index.spec.kind == "mih":
            self._by_radius = RadiusIndex(index)

    def scan(self, rank: RankSpec, quantizer: Any) -> ProvenScan:
        """Return what searches by a rank that scans all codes; `quantizer` of the collection."""
        if rank.name not in self._scans:
            if rank.scorer is None:
                raise ValueError(f"the {rank.name} ranking scans nothing")
            self._scans[rank.name] = ProvenScan(self.table, rank.scorer(quantizer))
        return self._scans[rank.name]

    def approximate(self) -> bool:
        """Whether `nearest` may miss items: then it is what finds shortlists, too."""
        if self._index is None or self._by_radius is not None:
            return False
        return self._index.follow(self.table)

    def prepare(self) -> None:
        """Make the index now, where there is one."""
        if self._index is not None:
            self._index.follow(self.table)

    def nearest(self, codes: CodeArray, k: int) -> list[Hits]:
        """Return the `k` nearest items by Hamming distance of each query."""
        if self._index is not None and self.approximate():
            return approximate_scan.nearest(self._index, self.table, codes, k)
        return hamming_scan.nearest(self.table, codes, k)

    def within(self, codes: CodeArray, radius: int) -> list[Hits]:
        """Return all items at a distance of at most `radius` from each query, nearest first."""
        if (
            self._index is not None
            and self._by_radius is not None
            and self._index.follow(self.table)
            and self._by_radius.worthwhile(self.table, radius)
        ):
            return self._by_radius.within(self.table, codes, radius)
        return hamming_scan.within(self.table, codes, radius)
