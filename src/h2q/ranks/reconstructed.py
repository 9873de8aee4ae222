"""The ranks "reconstructed" and "linear": a real query against the row rebuilt from the code.

The row behind a code is x̂ = μ + W s (`h2q.LinearDecoder`); the score is ⟨q, x̂⟩ / ‖x̂‖^γ, with the
mean included. The length follows from the code. So the whole score is scanned without a byte
beside the code: with the logarithm of the length in 8 bits more, made when the scan is built, the
score is nearly a sum over bits, and the rest is made exact on a shortlist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.errors import InvalidInputError
from h2q.ranks.sign_scores import byte_tables, scores_of_all, scores_of_each
from h2q.ranks.spec import Candidates, Queries, Scan

#: Levels of the logarithm of a length: one more byte of the scan.
_LEVELS: Final = 256
#: The share of a level each bit of that byte stands for, MSB first, as signs.
_SHARES: Final = (2.0 ** np.arange(7, -1, -1) / 2).astype(np.float64)


def brings_rows_back(quantizer: Any) -> bool:
    """Whether a quantizer chose its bits for a linear decoder of its own."""
    signs = getattr(quantizer, "codes_are_signs", True)
    return not signs and getattr(quantizer, "decoder_", None) is not None


@dataclass(frozen=True)
class ReconstructionQueries:
    """Queries ready for scores with rebuilt rows.

    `rows` (nq, n_bits), float32: W'q. `offsets` (nq,), float64: ⟨q, μ⟩. `tables`
    (nq, width, 256), float64: what every byte of a code adds.
    """

    rows: NDArray[np.float32]
    offsets: NDArray[np.float64]
    tables: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: Any) -> Self:
        """Return some of them."""
        return type(self)(self.rows[numbers], self.offsets[numbers], self.tables[numbers])


class ReconstructionScorer:
    """Scores by the rebuilt row, and scans for the best.

    Parameters
    ----------
    decoder : h2q.LinearDecoder
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder

    def prepare(self, queries: Queries) -> ReconstructionQueries:
        """Look up what each byte adds, once."""
        if queries.given is None:
            raise ValueError("the ranking needs real queries")
        rows, offsets = self._decoder.project(np.asarray(queries.given))
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        tables = byte_tables(rows, queries.codes.shape[1])
        return ReconstructionQueries(rows, np.asarray(offsets, dtype=np.float64), tables)

    def facts(self, codes: CodeArray) -> NDArray[np.float32]:
        """Length of the row behind each code: worth keeping, 4 bytes a code in memory."""
        lengths: NDArray[np.float32] = self._decoder.lengths(codes).astype(np.float32)
        return lengths

    def of_each(
        self,
        asked: ReconstructionQueries,
        codes: CodeArray,
        facts: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Scores of each query with its own candidates."""
        products = scores_of_each(asked.tables, codes)
        if facts is None:
            facts = self.facts(codes.reshape(-1, codes.shape[2])).reshape(products.shape)
        return self._over(products, asked, facts)

    def of_all(
        self,
        asked: ReconstructionQueries,
        codes: CodeArray,
        facts: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Scores of each query with the same candidates."""
        lengths = self.facts(codes) if facts is None else facts
        return self._over(scores_of_all(asked.tables, codes), asked, lengths)

    def _over(
        self,
        products: NDArray[np.float32],
        asked: ReconstructionQueries,
        lengths: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        scores = products + asked.offsets[:, None]
        scores *= lengths.astype(np.float64) ** -self._decoder.exponent_
        rounded: NDArray[np.float32] = scores.astype(np.float32)
        return rounded

    def index(self, codes: CodeArray, facts: NDArray[np.float32] | None = None) -> Scan:
        """Make a FastScan of codes and their lengths."""
        return ReconstructionScan(
            codes, self._decoder, self.facts(codes) if facts is None else facts
        )


class ReconstructionScan:
    r"""A `FastScan` of codes with one byte more: the level of the logarithm of the length.

    With c = ⟨q, x̂⟩, l = log ‖x̂‖ and a score c₀ that is typical of what is found, the score
    :math:`c\,e^{-\gamma l}` is near :math:`(c - \gamma c_0 (l - l_0))\,e^{-\gamma l_0}` around c₀.
    Being linear in l, that is a sum over the bits of the code and of the level. What a bound on the
    sum means for the true score is worked out in `_bound`, so a shortlist can be proved whole.

    Parameters
    ----------
    codes : ndarray of shape (n, width), uint8
    decoder : h2q.LinearDecoder
    lengths : ndarray of shape (n,), float32
        Of the rows behind the codes.
    """

    def __init__(self, codes: CodeArray, decoder: Any, lengths: NDArray[np.float32]) -> None:
        from h2q.ranks.fast_scan import FastScan  # faiss is imported where codes are scanned

        logarithms = np.log(lengths.astype(np.float64))
        self._low, self._high = float(logarithms.min()), float(logarithms.max())
        self._middle = float(np.median(logarithms))
        self._step = max((self._high - self._low) / (_LEVELS - 1), 1e-12)
        levels = np.rint((logarithms - self._low) / self._step).astype(np.uint8)
        self._scan = FastScan(np.concatenate([codes, levels[:, None]], axis=1))
        self._width = codes.shape[1]
        self._exponent, self._typical = decoder.exponent_, decoder.typical_score_

    def __len__(self) -> int:
        return len(self._scan)

    def search(
        self, asked: ReconstructionQueries, shortlist: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Positions of a shortlist for each query, and a bound on what it leaves out."""
        level = self._exponent * self._typical * self._step
        rows = np.zeros((len(asked), 8 * self._width + 8), dtype=np.float32)
        rows[:, : asked.rows.shape[1]] = asked.rows
        rows[:, -8:] = -level * _SHARES
        positions, sums = self._scan.search(rows, shortlist)
        return positions, self._bound(sums + asked.offsets - level * _SHARES.sum())

    def _bound(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the highest score a code may have whose c - γ c₀ (l - low) is at most `sums`.

        With u = γ (l - middle) and a the sum so shifted, the score is at most
        (a + c₀ u) e^-u e^(-γ middle), over the u that occur; its maximum is at u = 1 - a / c₀.
        """
        power, typical = self._exponent, self._typical
        with np.errstate(over="ignore", invalid="ignore"):
            shifted = sums + power * typical * (self._middle - self._low + self._step / 2)
            low, high = power * (self._low - self._middle), power * (self._high - self._middle)
            best = np.clip(1 - shifted / typical, low, high)
            bound = (shifted + typical * best) * np.exp(-best) * np.exp(-power * self._middle)
        bound[~np.isfinite(sums)] = -np.inf
        # Scores are rounded to float32.
        rounding = 1e-6 * np.abs(bound, where=np.isfinite(bound), out=np.zeros_like(bound))
        highest: NDArray[np.float64] = bound + rounding
        return highest


def scorer(quantizer: Any) -> ReconstructionScorer:
    """Return what scans all codes of a quantizer that brings rows back."""
    return ReconstructionScorer(quantizer.decoder_)


def prepare(queries: Queries) -> tuple[ReconstructionScorer, ReconstructionQueries]:
    """Make queries ready for the quantizer's own decoder."""
    if queries.quantizer is None:
        raise InvalidInputError("the reconstructed ranking needs a collection with a quantizer")
    ready = scorer(queries.quantizer)
    return ready, ready.prepare(queries)


def prepare_linear(queries: Queries) -> tuple[ReconstructionScorer, ReconstructionQueries]:
    """Make queries ready for the decoder the collection keeps, or its quantizer's own."""
    kept = queries.decoder if hasattr(queries.decoder, "weights_") else None
    ready = ReconstructionScorer(queries.quantizer.decoder_ if kept is None else kept)
    return ready, ready.prepare(queries)


def score(queries: Queries, state: Any, number: int, found: Candidates) -> NDArray[np.float32]:
    """Scores of the candidates of one query."""
    ready, asked = state
    of_one: NDArray[np.float32] = ready.of_all(
        asked.take(slice(number, number + 1)), found.codes
    ).reshape(-1)
    return of_one
