"""The rank "asymmetric": the inner product of the real query and the code as signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.ranks.sign_scores import asymmetric_scores, byte_tables, scores_of_all, scores_of_each
from h2q.ranks.spec import Candidates, Queries, Scan


@dataclass(frozen=True)
class SignQueries:
    """Queries with what every byte of a code adds to their score.

    `rows` (nq, n_bits), float32; `tables` (nq, width, 256), float64.
    """

    rows: NDArray[np.float32]
    tables: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: Any) -> Self:
        """Return some of them."""
        return type(self)(self.rows[numbers], self.tables[numbers])

    def expecting(self, scores: NDArray[np.float32]) -> Self:
        """Return them as they are: the bound of their scan is as tight for all scores."""
        return self


class SignScorer:
    """Scores by the inner product of the query with the code as signs, and scans for the best."""

    def prepare(self, queries: Queries) -> SignQueries:
        """Look up what each byte adds, once."""
        if queries.rows is None:
            raise ValueError("the asymmetric ranking needs real queries")
        return SignQueries(queries.rows, byte_tables(queries.rows, queries.codes.shape[1]))

    def facts(self, codes: CodeArray) -> None:
        """Nothing of a code is worth keeping."""

    def of_each(
        self, asked: SignQueries, codes: CodeArray, facts: None = None
    ) -> NDArray[np.float32]:
        """Scores of each query with its own candidates."""
        return scores_of_each(asked.tables, codes).astype(np.float32)

    def of_all(
        self, asked: SignQueries, codes: CodeArray, facts: None = None
    ) -> NDArray[np.float32]:
        """Scores of each query with the same candidates."""
        return scores_of_all(asked.tables, codes).astype(np.float32)

    def index(self, codes: CodeArray, facts: None = None) -> Scan:
        """Make a FastScan of codes."""
        from h2q.ranks.fast_scan import SignScan  # faiss is imported where codes are scanned

        return SignScan(codes)


def score(queries: Queries, state: Any, number: int, found: Candidates) -> NDArray[np.float32]:
    """Scores of the candidates of one query."""
    if queries.rows is None:
        raise ValueError("the asymmetric ranking needs real queries")
    return asymmetric_scores(queries.rows[number], found.codes)


def scorer(quantizer: Any) -> SignScorer:
    """Return what scans all codes by this rank."""
    return SignScorer()
