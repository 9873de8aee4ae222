"""A search, by the server where it can and on this side where it cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from h2q.collections.base import Id, Neighbours
from h2q.collections.milvus.expressions import Compiled
from h2q.collections.milvus.index import Index
from h2q.collections.milvus.rows import id_of
from h2q.collections.milvus.scanning import Scanned, scan
from h2q.collections.milvus.schema import Meta
from h2q.collections.milvus.searching import Found, Search, in_order
from h2q.collections.milvus.server import Server
from h2q.collections.servers.shortlist import Shortlist, ranked
from h2q.ranks import Queries, RankSpec
from h2q.ranks.records import record_width


@dataclass
class Finder:
    """The searches of one call.

    Attributes
    ----------
    server, meta, index
        The collection.
    condition : Compiled
        Which items.
    """

    server: Server
    meta: Meta
    index: Index
    condition: Compiled

    def search(self, queries: Queries, rank: RankSpec, k: int, size: int) -> Neighbours:
        """Find the `k` best items of each query in a shortlist of `size`."""
        by_distance = rank.score is None
        # Ties of the k-th distance matter where the distance comes first.
        to_k = k if rank.score is None or rank.distance_first else 1
        fields = () if by_distance else ("code", *(("record",) if rank.needs_records else ()))
        found: Sequence[Found | None] = [None] * len(queries)
        if self.condition.exact and len(queries):
            found = self._search(fields).nearest(queries.codes, to_k, max(size, k))
        if by_distance and None not in found:
            return _neighbours([in_order(each, k) for each in found if each is not None])
        return ranked(
            rank,
            queries,
            self._shortlists(found, queries, by_distance),
            keep=self.meta.keep,
            n_bits=self.meta.n_bits,
            k=k,
        )

    def within(self, queries: Queries, radius: int) -> Neighbours:
        """Find all items within a radius of each query."""
        found: Sequence[Found | None] = [None] * len(queries)
        if self.condition.exact and len(queries):
            found = self._search(()).within(queries.codes, radius)
        return _neighbours(
            [
                in_order(self._scanned.within(queries.codes[i], radius) if each is None else each)
                for i, each in enumerate(found)
            ]
        )

    @cached_property
    def _scanned(self) -> Scanned:
        width = record_width(self.meta.keep, self.meta.n_bits)
        return scan(self.server, self.condition, self.meta.width, width)

    def _search(self, fields: tuple[str, ...]) -> Search:
        return Search(
            self.server,
            self.index,
            self.condition.expression,
            self.meta.width,
            record_width(self.meta.keep, self.meta.n_bits),
            fields,
        )

    def _shortlists(
        self, found: Sequence[Found | None], queries: Queries, by_distance: bool
    ) -> Iterator[Shortlist]:
        for each in found:
            if each is None or by_distance:
                # One kind of answer for all queries: those of the server have no codes here.
                all_items = self._scanned
                yield Shortlist(
                    _Ids(all_items.keys),
                    all_items.codes,
                    all_items.records,
                    np.arange(len(all_items.keys)),
                )
            elif each.codes is not None:
                yield Shortlist(_Ids(each.keys), each.codes, each.records, each.ages)


class _Ids(Sequence[Id]):
    """Ids of primary keys, decoded when they are looked at: few of a shortlist are."""

    def __init__(self, keys: list[str]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, position: int) -> Id:  # type: ignore[override] # no slices are asked for
        return id_of(self._keys[position])


def _neighbours(found: list[Found]) -> Neighbours:
    return Neighbours(
        [[id_of(key) for key in each.keys] for each in found], [each.distances for each in found]
    )
