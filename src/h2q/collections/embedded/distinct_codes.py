"""Codes that occur many times: scored once each, for collections whose codes repeat a lot.

Learned codes of few classes repeat: a million items may have some thousand codes. Then many items
tie at the k-th score and no shortlist proves itself whole, but one of the distinct codes does.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from h2q.collections.embedded.table import CodeTable
from h2q.ranks import Scorer
from h2q.ranks.spec import Prepared

#: Distinct codes must be at most this share of all to be worth scoring instead of them.
_WORTHWHILE_SHARE: Final = 1 / 4
#: Distinct codes that are worth a scan of their own, and the share of them a shortlist may be.
_LEAST_SCANNED: Final = 4096
_LONGEST_SHARE: Final = 1 / 16


class DistinctCodes:
    """The distinct codes among the first `covered` positions of a table, with who has each.

    Parameters
    ----------
    table : CodeTable
        Positions keep as long as its `epoch`.
    covered : int
    scorer : Scorer
        Of the rank.
    """

    def __init__(self, table: CodeTable, covered: int, scorer: Scorer) -> None:
        self._table = table
        self._scorer = scorer
        codes = table.codes[:covered]
        keys = np.ascontiguousarray(codes).view(f"V{codes.shape[1]}").ravel()
        if codes.shape[1] == 8:  # sorted some ten times faster than bytes
            keys = np.ascontiguousarray(codes).view(np.uint64).ravel()
        # Stable, so the positions of a code ascend: the oldest item first.
        self._positions = np.argsort(keys, kind="stable").astype(np.int64)
        ordered = keys[self._positions]
        begins = np.ones(covered, dtype=np.bool_)
        begins[1:] = ordered[1:] != ordered[:-1]
        self._starts = np.append(np.flatnonzero(begins), covered)
        self._codes = codes[self._positions[self._starts[:-1]]]
        self._scan = scorer.index(self._codes) if len(self._codes) >= _LEAST_SCANNED else None

    @property
    def worthwhile(self) -> bool:
        """Whether codes repeat enough."""
        return len(self._codes) <= len(self._positions) * _WORTHWHILE_SHARE

    def candidates(self, asked: Prepared, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Positions and scores of items among which the `k` best of one query are.

        Parameters
        ----------
        asked : Prepared
            The query, as the scorer prepared it.
        k : int

        Returns
        -------
        positions : ndarray of shape (c,), int64
            Items that are there; the `k` oldest of each code, and of all codes that score as high
            as the k-th best item.
        scores : ndarray of shape (c,), float32
        """
        shortlist = 2 * k + 64
        if self._scan is not None and shortlist <= len(self._codes) * _LONGEST_SHARE:
            near, bounds = self._scan.search(asked, shortlist)
            codes = near[0][near[0] >= 0]
            scores = self._scorer.of_each(asked, self._codes[codes][None])[0]
            found = self._items(codes, scores, k)
            if len(found[1]) >= k and np.partition(-found[1], k - 1)[k - 1] < -bounds[0]:
                return found
        scores = self._scorer.of_all(asked, self._codes)[0]
        return self._items(np.arange(len(scores)), scores, k)

    def _items(
        self, codes: NDArray[np.int64], scores: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Items of the codes of the highest scores, until there are `k` and no code ties."""
        found: list[NDArray[np.int64]] = []
        of_each: list[NDArray[np.float32]] = []
        count, last = 0, np.float32(-np.inf)
        for place in np.argsort(-scores, kind="stable").tolist():
            if count >= k and scores[place] < last:
                break
            positions = self._oldest(int(codes[place]), k)
            if len(positions):
                found.append(positions)
                of_each.append(np.full(len(positions), scores[place], dtype=np.float32))
                if count < k:
                    last = scores[place]
                count += len(positions)
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        return np.concatenate(found), np.concatenate(of_each)

    def _oldest(self, code: int, k: int) -> NDArray[np.int64]:
        positions = self._positions[self._starts[code] : self._starts[code + 1]]
        if self._table.dead:
            positions = positions[self._table.alive[positions]]
        return positions[:k]
