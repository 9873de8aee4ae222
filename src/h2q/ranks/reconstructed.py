"""The ranks "reconstructed" and "linear": a real query against the row rebuilt from the code.

The row behind a code is x̂ = μ + W s (`h2q.LinearDecoder`); the score is ⟨q, x̂⟩ / ‖x̂‖^γ, with the
mean included. The length follows from the code. So the whole score is scanned without a byte
beside the code: most of the logarithm of the length is a sum over the bits as well, the rest is put
in 8 bits more when the scan is built, and what that rounds is made exact on a shortlist.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.errors import InvalidInputError
from h2q.ranks.sign_scores import SignSums, byte_tables, scores_of_all
from h2q.ranks.spec import Candidates, Queries, Scan

#: What each bit of the level adds to it, MSB first. The two halves span the same, so that neither
#: makes the steps of the scan's tables wider; 16 and 17 have no common divisor, so the 256 levels
#: differ, and lie the closer the nearer they are to the middle.
_SHARES: Final = np.concatenate([16 * np.array([8, 4, 2, 1]), 17 * np.array([8, 4, 2, 1])]) / 495
_LEVELS: Final = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1) @ _SHARES
#: Codes by which the logarithm of the length is told apart into a sum over bits and a rest.
_SAMPLE: Final = 20_000
_RIDGE: Final = 1.0
#: Codes unpacked at a time.
_AT_ONCE: Final = 1 << 16
#: One in so many codes is scanned first, to learn what scores to expect, for shortlists longer
#: than this: near the end of a long one the proof needs it.
_ONE_IN: Final = 64
_LONG: Final = 200


def own_decoder(quantizer: Any) -> Any:
    """Return the linear decoder that a quantizer (or none) brings with it, or None."""
    return getattr(quantizer, "decoder_", None)


def brings_rows_back(quantizer: Any) -> bool:
    """Whether a quantizer chose its bits for a linear decoder of its own."""
    signs = getattr(quantizer, "codes_are_signs", True)
    return not signs and own_decoder(quantizer) is not None


@dataclass(frozen=True)
class ReconstructionQueries:
    """Queries ready for scores with rebuilt rows.

    `rows` (nq, n_bits), float32: W'q. `offsets` (nq,), float64: ⟨q, μ⟩. `sums` are of
    ⟨W'q, s⟩. `given` (nq, d): the queries themselves. `expected` (nq,), float64: the scores they
    are likely to find; None where nothing is known.
    """

    rows: NDArray[np.float32]
    offsets: NDArray[np.float64]
    sums: SignSums
    given: NDArray[Any]
    expected: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: Any) -> Self:
        """Return some of them."""
        known = None if self.expected is None else self.expected[numbers]
        return type(self)(
            self.rows[numbers],
            self.offsets[numbers],
            self.sums.take(numbers),
            self.given[numbers],
            known,
        )

    def expecting(self, scores: NDArray[np.float32]) -> Self:
        """Return the same, with a score each near which the bound is to be tight."""
        return replace(self, expected=scores.astype(np.float64))


class ReconstructionScorer:
    """Scores by the rebuilt row, and scans for the best.

    Parameters
    ----------
    decoder : h2q.LinearDecoder
    exponent : float, optional
        γ, in the place of the decoder's; 1 gives the cosine with the row behind the code.
    """

    def __init__(self, decoder: Any, exponent: float | None = None) -> None:
        self._decoder = decoder
        self._exponent: float = decoder.exponent_ if exponent is None else exponent

    def prepare(self, queries: Queries) -> ReconstructionQueries:
        """Project the queries, once."""
        if queries.given is None:
            raise ValueError("the rank needs real queries")
        given = np.asarray(queries.given)
        rows, offsets = self._decoder.project(given)
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        sums = SignSums(rows, queries.codes.shape[1])
        return ReconstructionQueries(rows, np.asarray(offsets, dtype=np.float64), sums, given)

    def facts(self, codes: CodeArray) -> NDArray[np.float32]:
        """‖x̂‖^-γ of each code: worth keeping, 4 bytes a code in memory."""
        lengths = self._decoder.lengths(codes)
        weights: NDArray[np.float32] = (lengths**-self._exponent).astype(np.float32)
        return weights

    def of_each(
        self,
        asked: ReconstructionQueries,
        codes: CodeArray,
        facts: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Scores of each query with its own candidates."""
        products = asked.sums.of_each(codes)
        if facts is None:
            facts = self.facts(codes.reshape(-1, codes.shape[2])).reshape(products.shape)
        return _scores(products, asked, facts)

    def of_all(
        self,
        asked: ReconstructionQueries,
        codes: CodeArray,
        facts: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Scores of each query with the same candidates."""
        weights = self.facts(codes) if facts is None else facts
        return _scores(asked.sums.of_all(codes), asked, weights)

    def index(self, codes: CodeArray, facts: NDArray[np.float32] | None = None) -> Scan:
        """Make a FastScan of codes and their lengths."""
        return ReconstructionScan(
            codes, self._decoder, self.facts(codes) if facts is None else facts
        )

    def linear_form(
        self,
        codes: CodeArray,
        facts: NDArray[np.float32] | None = None,
        state: dict[str, list[float]] | None = None,
    ) -> ReconstructionForm:
        """Learn how the length follows from the bits, or take what was learned."""
        if state is not None:
            return ReconstructionForm(
                self._decoder, np.array(state["slope"]), state["rest"][0], state["rest"][1]
            )
        return ReconstructionForm.fitted(
            self._decoder, codes, self.facts(codes) if facts is None else facts
        )


def _scores(
    products: NDArray[np.float64], asked: ReconstructionQueries, weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    products += asked.offsets[:, None]
    products *= weights
    return products.astype(np.float32)


class ReconstructionForm:
    r"""The score as a sum over bits, nearly (`h2q.ranks.spec.LinearForm`).

    With c = ⟨q, x̂⟩, l = γ log ‖x̂‖ and a score c₀ that is typical of what is found, the score
    :math:`c\,e^{-l}` is near :math:`(c - c_0 (l - l_0))\,e^{-l_0}` around c₀. Being linear in l,
    that is a sum: over the bits of the code, which tell most of l (:math:`l \approx v_0 +
    \langle v, s \rangle`, by least squares), and over those of a level for the rest.

    Parameters
    ----------
    decoder : h2q.LinearDecoder
    slope : ndarray of shape (8 width,), float64
        v.
    low, span : float
        The least of what v leaves of l, and how much the largest is above it.
    """

    def __init__(self, decoder: Any, slope: NDArray[np.float64], low: float, span: float) -> None:
        self._decoder, self._slope, self.low, self.span = decoder, slope, low, span
        self.typical = float(decoder.typical_score_)

    @classmethod
    def fitted(cls, decoder: Any, codes: CodeArray, weights: NDArray[np.float32]) -> Self:
        """Learn it from codes (n, width) and their e^-l (n,)."""
        powers = -np.log(weights.astype(np.float64))
        slope = _slope(codes, powers)
        rest = powers - _sums(codes, slope)
        return cls(decoder, slope, float(rest.min()), max(float(np.ptp(rest)), 1e-12))

    def state(self) -> dict[str, list[float]]:
        """Return what was learned."""
        return {"slope": self._slope.tolist(), "rest": [self.low, self.span]}

    def points(self, codes: CodeArray) -> NDArray[np.float32]:
        """Return the rows behind codes, of length 1."""
        rows: NDArray[np.float32] = self._decoder.decode(codes)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-30))
        return rows

    def towards(self, asked: ReconstructionQueries) -> NDArray[np.float32]:
        """Return the queries, of length 1."""
        rows = asked.given.astype(np.float64)
        rows /= np.abs(rows).max(axis=1, keepdims=True)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float32)

    def rest(self, codes: CodeArray, weights: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what of l the bits do not tell."""
        return -np.log(weights.astype(np.float64)) - _sums(codes, self._slope)

    def levels(self, rest: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Return the nearest level of each; what is beyond the ends has the level of the end."""
        order = np.argsort(_LEVELS, kind="stable")
        middles = (_LEVELS[order][1:] + _LEVELS[order][:-1]) / 2
        return order[np.searchsorted(middles, (rest - self.low) / self.span)].astype(np.uint8)

    def behind(self, codes: CodeArray, facts: NDArray[np.float32]) -> CodeArray:
        """Return the level of each code."""
        return self.levels(self.rest(codes, facts))[:, None]

    def rows(
        self, asked: ReconstructionQueries, around: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """Return what is scanned for; `around` (nq,) are the c₀, by default what is typical."""
        n_bits = asked.rows.shape[1]
        about = np.full(len(asked), self.typical) if around is None else around
        rows = np.zeros((len(asked), len(self._slope) + 8), dtype=np.float32)
        rows[:, :n_bits] = asked.rows - about[:, None] * self._slope[:n_bits]
        rows[:, -8:] = -about[:, None] * (self.span * _SHARES / 2)
        return rows

    def constant(
        self, asked: ReconstructionQueries, around: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return what makes the product of `rows` with the signs c - c₀ l."""
        return asked.offsets - around * (self.low + self.span / 2)


class ReconstructionScan:
    """A `FastScan` of codes with one byte more, their level (`ReconstructionForm`).

    What a bound on the sum means for the true score is worked out in `_bound`, so a shortlist can
    be proved whole. It is tight for scores near c₀, so c₀ is the score expected of each query.

    Parameters
    ----------
    codes : ndarray of shape (n, width), uint8
    decoder : h2q.LinearDecoder
    weights : ndarray of shape (n,), float32
        e^-l of the codes.
    """

    def __init__(self, codes: CodeArray, decoder: Any, weights: NDArray[np.float32]) -> None:
        from h2q.ranks.fast_scan import FastScan  # faiss is imported where codes are scanned

        self._form = ReconstructionForm.fitted(decoder, codes, weights)
        powers = -np.log(weights.astype(np.float64))
        self._least, self._most = float(powers.min()), float(powers.max())
        self._middle = float(np.median(powers))
        rest = self._form.rest(codes, weights)
        levels = self._form.levels(rest)
        # Of l, at most so much is missing in the sum where a level is too high.
        stated = self._form.low + self._form.span * _LEVELS[levels]
        self._missing = max(float((stated - rest).max()), 0.0)
        longer = np.concatenate([codes, levels[:, None]], axis=1)
        self._scan = FastScan(longer)
        self._few = None
        if len(codes) // _ONE_IN > _LONG:
            self._few = FastScan(np.ascontiguousarray(longer[::_ONE_IN]))

    def __len__(self) -> int:
        return len(self._scan)

    def search(
        self, asked: ReconstructionQueries, shortlist: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Positions of a shortlist for each query, and a bound on what it leaves out."""
        form = self._form
        around = np.full(len(asked), form.typical)
        if asked.expected is not None:
            known = np.isfinite(asked.expected) & (asked.expected > 0)
            around[known] = (asked.expected * np.exp(self._middle))[known]
        elif self._few is not None and shortlist > _LONG:
            best = self._few.best(form.rows(asked, around)) + form.constant(asked, around)
            around = np.maximum(best + around * self._middle, form.typical / 4)
        positions, sums = self._scan.search(form.rows(asked, around), shortlist)
        return positions, self._bound(sums + form.constant(asked, around), around)

    def _bound(self, sums: NDArray[np.float64], around: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the highest score a code may have whose c - c₀ l, as scanned, is at most `sums`.

        With u = l - middle and a the sum so shifted, the score is at most (a + c₀ u) e^-u
        e^-middle, over the u that occur; its maximum is at u = 1 - a / c₀.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            shifted = sums + around * (self._middle + self._missing)
            low, high = self._least - self._middle, self._most - self._middle
            best = np.clip(1 - shifted / around, low, high)
            bound = (shifted + around * best) * np.exp(-best) * np.exp(-self._middle)
        bound[~np.isfinite(sums)] = -np.inf
        # Scores are rounded to float32, and so is what is scanned for.
        size = np.abs(bound, where=np.isfinite(bound), out=np.zeros_like(bound)) + around
        highest: NDArray[np.float64] = bound + 2e-6 * size
        return highest


def _slope(codes: CodeArray, powers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return v, (8 width,), that tells most of l by ⟨v, s⟩: least squares over a sample."""
    picked = np.linspace(0, len(codes) - 1, min(len(codes), _SAMPLE)).astype(np.int64)
    signs = np.unpackbits(codes[picked], axis=1) * 2.0 - 1.0
    signs -= signs.mean(axis=0)
    gram = signs.T @ signs
    gram[np.diag_indices(len(gram))] += _RIDGE
    slope: NDArray[np.float64] = np.linalg.solve(
        gram, signs.T @ (powers[picked] - powers[picked].mean())
    )
    return slope.astype(np.float32).astype(np.float64)  # what is scanned for is float32, too


def _sums(codes: CodeArray, slope: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ⟨v, s⟩ of each code."""
    tables = byte_tables(slope[None].astype(np.float32), codes.shape[1])
    found = np.empty(len(codes))
    for start in range(0, len(codes), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found[part] = scores_of_all(tables, codes[part])[0]
    return found


def scorer(quantizer: Any) -> ReconstructionScorer:
    """Return what scans all codes of a quantizer that brings rows back."""
    return ReconstructionScorer(quantizer.decoder_)


def prepare(queries: Queries) -> tuple[ReconstructionScorer, ReconstructionQueries]:
    """Make queries ready for the quantizer's own decoder."""
    if queries.quantizer is None:
        raise InvalidInputError("the rank 'reconstructed' needs a collection with a quantizer")
    ready = scorer(queries.quantizer)
    return ready, ready.prepare(queries)


def prepare_linear(queries: Queries) -> tuple[ReconstructionScorer, ReconstructionQueries]:
    """Make queries ready for the decoder the collection keeps, or its quantizer's own."""
    kept = queries.decoder if hasattr(queries.decoder, "weights_") else None
    ready = ReconstructionScorer(own_decoder(queries.quantizer) if kept is None else kept)
    return ready, ready.prepare(queries)


def score_of(queries: Queries, state: Any, number: int, found: Candidates) -> NDArray[np.float32]:
    """Scores of the candidates of one query by a `Scorer`; `state` is it and what it prepared."""
    ready, asked = state
    of_one: NDArray[np.float32] = ready.of_all(
        asked.take(slice(number, number + 1)), found.codes
    ).reshape(-1)
    return of_one


score = score_of
