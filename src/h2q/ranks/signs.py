"""The rank "asymmetric": a real query against what the signs of a code say of the row.

Signs of rows that were not centred are compared with the query as they are. A quantizer that
centres ranks by the cosine of *centred* rows that way, which is not what was asked for. Where it
brings rows back (``decoder_``), the query is compared with the row behind the signs, the mean
included; see `h2q.ranks.reconstructed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.ranks.reconstructed import ReconstructionScorer, own_decoder, score_of
from h2q.ranks.sign_scores import SignSums
from h2q.ranks.spec import Queries, Scan


@dataclass(frozen=True)
class SignQueries:
    """Queries with their scores.

    `rows` (nq, n_bits), float32.
    """

    rows: NDArray[np.float32]
    sums: SignSums

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: Any) -> Self:
        """Return some of them."""
        return type(self)(self.rows[numbers], self.sums.take(numbers))

    def expecting(self, scores: NDArray[np.float32]) -> Self:
        """Return them as they are: the bound of their scan is as tight for all scores."""
        return self


class SignScorer:
    """Scores by the inner product of the query with the code as signs, and scans for the best."""

    def prepare(self, queries: Queries) -> SignQueries:
        """Round the queries, once."""
        if queries.rows is None:
            raise ValueError("the rank 'asymmetric' needs real queries")
        return SignQueries(queries.rows, SignSums(queries.rows, queries.codes.shape[1]))

    def facts(self, codes: CodeArray) -> None:
        """Nothing of a code is worth keeping."""

    def of_each(
        self, asked: SignQueries, codes: CodeArray, facts: None = None
    ) -> NDArray[np.float32]:
        """Scores of each query with its own candidates."""
        return asked.sums.of_each(codes).astype(np.float32)

    def of_all(
        self, asked: SignQueries, codes: CodeArray, facts: None = None
    ) -> NDArray[np.float32]:
        """Scores of each query with the same candidates."""
        return asked.sums.of_all(codes).astype(np.float32)

    def index(self, codes: CodeArray, facts: None = None) -> Scan:
        """Make a FastScan of codes."""
        from h2q.ranks.fast_scan import SignScan  # faiss is imported where codes are scanned

        return SignScan(codes)

    def linear_form(
        self, codes: CodeArray, facts: None = None, state: dict[str, list[float]] | None = None
    ) -> SignForm:
        """Return the score itself: nothing is learned."""
        return SignForm()


class SignForm:
    """The score itself is an inner product (`h2q.ranks.spec.LinearForm`)."""

    def state(self) -> dict[str, list[float]]:
        """Return nothing: nothing was learned."""
        return {}

    def points(self, codes: CodeArray) -> NDArray[np.float32]:
        """Return the signs, of length 1; the bits that fill the last byte are all -1."""
        signs = np.unpackbits(codes, axis=1).astype(np.float32)
        signs *= 2
        signs -= 1
        signs /= np.float32(np.sqrt(signs.shape[1]))
        return signs

    def towards(self, asked: SignQueries) -> NDArray[np.float32]:
        """Return the queries, of length 1, as long as the codes."""
        rows = self.rows(asked)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows

    def behind(self, codes: CodeArray, facts: None) -> CodeArray:
        """Return nothing."""
        return np.empty((len(codes), 0), np.uint8)

    def rows(self, asked: SignQueries) -> NDArray[np.float32]:
        """Return the queries, with zeros for the bits that fill the last byte."""
        rows = np.zeros((len(asked), 8 * asked.sums.width), np.float32)
        rows[:, : asked.rows.shape[1]] = asked.rows
        return rows


def scorer(quantizer: Any) -> SignScorer | ReconstructionScorer:
    """Return what scans all codes of a quantizer (or of none) by this rank."""
    own = own_decoder(quantizer)
    return SignScorer() if own is None else ReconstructionScorer(own)


def prepare(queries: Queries) -> tuple[SignScorer | ReconstructionScorer, Any]:
    """Make queries ready."""
    ready = scorer(queries.quantizer)
    return ready, ready.prepare(queries)


#: Scores of the candidates of one query.
score = score_of
