"""Codes to search, with the ways to search them."""

from __future__ import annotations

from h2q._typing import CodeArray
from h2q.collections.embedded import hamming_scan
from h2q.collections.embedded.asymmetric_scan import AsymmetricScan
from h2q.collections.embedded.hits import Hits
from h2q.collections.embedded.table import CodeTable


class View:
    """A table and what is derived from it, made when first used."""

    def __init__(self, table: CodeTable) -> None:
        self.table = table
        self.asymmetric = AsymmetricScan(table)

    def nearest(self, codes: CodeArray, k: int) -> list[Hits]:
        """Return the `k` nearest items by Hamming distance of each query."""
        return hamming_scan.nearest(self.table, codes, k)

    def within(self, codes: CodeArray, radius: int) -> list[Hits]:
        """Return all items at a distance of at most `radius` from each query, nearest first."""
        return hamming_scan.within(self.table, codes, radius)
