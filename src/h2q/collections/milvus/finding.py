"""A search, by the server where it can and on this side where it cannot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from h2q._typing import CodeArray
from h2q.collections.index_spec import IndexSpec
from h2q.collections.inputs import Id
from h2q.collections.milvus.expressions import Compiled
from h2q.collections.milvus.rows import id_of
from h2q.collections.milvus.scanning import Scanned, scan
from h2q.collections.milvus.schema import Meta
from h2q.collections.milvus.searching import Found, Search
from h2q.collections.milvus.server import Server
from h2q.collections.shortlists import Asked, Shortlist
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
    index: IndexSpec
    condition: Compiled

    def nearest(self, asked: Asked) -> Iterator[Shortlist]:
        """Find the nearest items of each query."""
        # Ties of the k-th distance matter where the distance comes first.
        plain = not asked.with_codes
        to_k = asked.size if plain else asked.ties_from or 1
        fields = () if plain else ("code", *(("record",) if asked.with_records else ()))
        found: Sequence[Found | None] = [None] * len(asked.codes)
        if self.condition.exact and len(asked.codes):
            found = self._search(fields).nearest(asked.codes, to_k, asked.size)
        # One kind of answer for all queries: without codes, only where the server found them all.
        by_scan = plain and None in found
        for each in found:
            if each is None or by_scan:
                all_items = self._scanned
                yield Shortlist(
                    _Ids(all_items.keys),
                    all_items.codes,
                    all_items.records,
                    np.arange(len(all_items.keys)),
                )
            else:
                yield _shortlist(each)

    def within(self, codes: CodeArray, radius: int) -> Iterator[Shortlist]:
        """Find all items within a radius of each code."""
        found: Sequence[Found | None] = [None] * len(codes)
        if self.condition.exact and len(codes):
            found = self._search(()).within(codes, radius)
        for i, each in enumerate(found):
            yield _shortlist(self._scanned.within(codes[i], radius) if each is None else each)

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


class _Ids(Sequence[Id]):
    """Ids of primary keys, decoded when they are looked at: few of a shortlist are."""

    def __init__(self, keys: list[str]) -> None:
        self._keys = keys

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, position: int) -> Id:  # type: ignore[override] # no slices are asked for
        return id_of(self._keys[position])


def _shortlist(found: Found) -> Shortlist:
    return Shortlist(_Ids(found.keys), found.codes, found.records, found.ages, found.distances)
