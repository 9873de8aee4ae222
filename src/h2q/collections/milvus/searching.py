"""Nearest items and items within a radius, with the server's limits and its ties dealt with.

A server returns the `limit` nearest; which of the items at the last distance are among them is
left to it. Equal items are to come in the order of adding, so a little more is asked for, and
again more until the k-th distance is passed: all items at that distance are known then, and are
put in order here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.index_spec import IndexSpec
from h2q.collections.milvus.address import Consistency
from h2q.collections.milvus.index import search_parameters
from h2q.collections.milvus.rows import codes_of, records_of
from h2q.collections.milvus.server import Server, TooLargeError

#: Most items a server returns for a query.
MOST: Final = 16_384
#: Items asked for beyond k, for the ties at the k-th distance. Each bit farther there are about as
#: many items as in all distances before, so what ties grows with k.
_LEAST_SLACK, _SLACK = 64, 2
_GROWTH: Final = 4
_FIRST_RADIUS_LIMIT: Final = 1024
#: Queries a request, and items: a server's time grows faster than their product.
_MOST_QUERIES, _MOST_ITEMS = 1000, 50_000


@dataclass(frozen=True)
class Found:
    """Items found for one query, nearest first; of equal distance in any order.

    Attributes
    ----------
    keys : list of c str
        Primary keys.
    distances : ndarray of shape (c,), int32
    ages : ndarray of shape (c,), int64
        Sequence numbers.
    codes, records : ndarray of uint8, or None
        Where they were asked for.
    """

    keys: list[str]
    distances: NDArray[np.int32]
    ages: NDArray[np.int64]
    codes: CodeArray | None = None
    records: NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True)
class Search:
    """What all requests of one search have in common.

    Attributes
    ----------
    server : Server
    index : IndexSpec
    expression : str
        Which items; empty: all.
    width : int
        Bytes of a code.
    record_width : int
        Bytes of a record.
    fields : list of str
        Among "code" and "record": what is fetched beside key, distance and sequence number.
    """

    server: Server
    index: IndexSpec
    expression: str
    width: int
    record_width: int
    fields: tuple[str, ...] = ()

    def nearest(self, codes: CodeArray, k: int, size: int) -> list[Found | None]:
        """Find the `size` nearest items of each code, and all that are as near as the k-th.

        No more than 16,384; None for a query that has more items as near as the k-th.
        """
        found: list[Found | None] = [None] * len(codes)
        left, limit = list(range(len(codes))), min(max(size, first_limit(k)), MOST)
        if k > MOST:
            return found
        level = self.server.address.consistency
        while left:
            more = []
            answers = self._ask(codes[left], limit, search_parameters(self.index, limit), level)
            for number, answer in zip(left, answers, strict=True):
                if len(answer) < limit or answer.distances[-1] > answer.distances[k - 1]:
                    found[number] = answer
                else:
                    more.append(number)
            if limit == MOST:
                break
            left, limit, level = more, min(_GROWTH * limit, MOST), _later(level)
        return found

    def within(self, codes: CodeArray, radius: int) -> list[Found | None]:
        """Find all items within a radius, as far as the index does.

        None for a query of which the server cannot return so many.
        """
        found: list[Found | None] = [None] * len(codes)
        left, limit = list(range(len(codes))), _FIRST_RADIUS_LIMIT
        level = self.server.address.consistency
        # A range search on an ivf index loses items, a search of all its lists does not.
        by_range = self.index.kind != "ivf"
        while left:
            more = []
            parameters = search_parameters(self.index, limit, whole=True)
            if by_range:
                parameters["radius"] = radius + 1  # exclusive
            for number, answer in zip(
                left, self._ask(codes[left], limit, parameters, level), strict=True
            ):
                if len(answer) < limit or answer.distances[-1] > radius:
                    found[number] = _cut(answer, radius)
                else:
                    more.append(number)
            if limit == MOST:
                break
            left, limit, level = more, min(_GROWTH * limit, MOST), _later(level)
        return found

    def _ask(
        self, codes: CodeArray, limit: int, parameters: dict[str, int], level: Consistency
    ) -> list[Found]:
        step = min(_MOST_QUERIES, max(1, _MOST_ITEMS // limit))
        answers: list[Found] = []
        start = 0
        while start < len(codes):
            try:
                answers += self._request(codes[start : start + step], limit, parameters, level)
            except TooLargeError:
                if step == 1:
                    raise
                step = max(1, step // 4)
                continue
            start, level = start + step, _later(level)
        return answers

    def _request(
        self, codes: CodeArray, limit: int, parameters: dict[str, int], level: Consistency
    ) -> list[Found]:
        result = self.server.call(
            "search",
            self.server.address.name,
            data=[code.tobytes() for code in codes],
            anns_field="code",
            filter=self.expression,
            limit=limit,
            output_fields=["seq", *self.fields],
            search_params={"metric_type": "HAMMING", "params": parameters},
            consistency_level=level,
        )
        return [self._read(hits) for hits in result]

    def _read(self, hits: Sequence[Any]) -> Found:
        rows = [hit["entity"] for hit in hits]
        return Found(
            [hit["id"] for hit in hits],
            np.fromiter((hit["distance"] for hit in hits), np.float64, len(rows)).astype(np.int32),
            np.fromiter((row["seq"] for row in rows), np.int64, len(rows)),
            codes_of(rows, self.width) if "code" in self.fields else None,
            records_of(rows, self.record_width) if "record" in self.fields else None,
        )


def first_limit(k: int) -> int:
    """How many items are asked for at first where `k` are wanted with their ties."""
    return k + max(_LEAST_SLACK, _SLACK * k)


def _cut(found: Found, radius: int) -> Found:
    inside = int(np.searchsorted(found.distances, radius, side="right"))
    return Found(
        found.keys[:inside],
        found.distances[:inside],
        found.ages[:inside],
        None if found.codes is None else found.codes[:inside],
        None if found.records is None else found.records[:inside],
    )


def _later(level: Consistency) -> Consistency:
    """For the further requests of one call: what the first has waited for is there."""
    return "Session" if level == "Strong" else level
