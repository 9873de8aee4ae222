"""What a rank is: what it needs, how it scores, and how items are scanned by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeAlias

from h2q.ranks.keeping import Keep

if TYPE_CHECKING:  # the table is read where numpy is not wanted yet: in the help of `h2q`
    import numpy as np
    from numpy.typing import NDArray

    from h2q._typing import Array, CodeArray

#: What a collection may keep once, for all items, and a rank may need.
Artifact: TypeAlias = Literal["decoder", "linear decoder"]


class _Decoder(Protocol):
    """The part of a `h2q.CodeDecoder` a rank uses."""

    def decode(self, codes: CodeArray) -> NDArray[np.float32]:
        """Return the expected row (n, n_bits) of each code."""


@dataclass(frozen=True)
class Queries:
    """Queries ready to be ranked for.

    Attributes
    ----------
    codes : ndarray of shape (nq, ceil(n_bits / 8)), uint8
    rows : ndarray of shape (nq, n_bits), float32, or None
        Real rows as the quantizer's `rotate` returns them; None where the queries came as codes.
    decoder : Decoder or None
        The collection's.
    quantizer : quantizer or None
        The collection's.
    given : array of shape (nq, d) or None
        The real rows before they were rotated.
    """

    codes: CodeArray
    rows: NDArray[np.float32] | None
    decoder: _Decoder | None = None
    quantizer: Any = None
    given: Array | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, numbers: Any) -> Self:
        """Return some of the queries: by a slice or an array of numbers."""
        if isinstance(numbers, slice) and not numbers.start and (numbers.stop or 0) >= len(self):
            return self
        return type(self)(
            self.codes[numbers],
            None if self.rows is None else self.rows[numbers],
            self.decoder,
            self.quantizer,
            None if self.given is None else self.given[numbers],
        )


@dataclass(frozen=True)
class Candidates:
    """Items to be scored for one query.

    Attributes
    ----------
    codes : ndarray of shape (c, ceil(n_bits / 8)), uint8
    records : ndarray of shape (c, record_width(keep, n_bits)), uint8, or None
        What is kept of their rows (`h2q.ranks.records`); there where the rank needs them.
    keep : str
        What the records are.
    n_bits : int
    """

    codes: CodeArray
    records: NDArray[np.uint8] | None
    keep: Keep
    n_bits: int

    def needed_records(self) -> NDArray[np.uint8]:
        """Return the records, which the rank said it needs."""
        if self.records is None:
            raise ValueError("this rank needs the records")
        return self.records


class Scan(Protocol):
    """An immutable index of codes that finds a shortlist and knows what it may have missed."""

    def __len__(self) -> int:
        """Codes it covers."""
        ...

    def search(self, asked: Any, shortlist: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return positions of a shortlist for each query, and a bound on what it leaves out.

        Parameters
        ----------
        asked : object
            What `Scorer.prepare` returned, or some of it by its `take`.
        shortlist : int
            At most `len(self)`.

        Returns
        -------
        positions : ndarray of shape (nq, shortlist), int64
            -1 is none.
        bounds : ndarray of shape (nq,), float64
            No code outside of the shortlist has a higher exact score. -inf: none is outside.
        """
        ...


class Prepared(Protocol):
    """Queries made ready to be scored."""

    def __len__(self) -> int: ...

    def take(self, numbers: Any) -> Self:
        """Return some of them: by a slice or an array of numbers."""
        ...

    def expecting(self, scores: NDArray[np.float32]) -> Self:
        """Return the same queries, with a score (nq,) each near which a bound should be tight.

        Called before a query is scanned for again, with the `k`-th best score found so far (-inf
        where there is none).
        """
        ...


class LinearForm(Protocol):
    """The scores of a rank as inner products, nearly: what an inverted file is made of.

    It is learned from some codes (`Scorer.linear_form`) and holds for others, too.
    """

    def state(self) -> dict[str, list[float]]:
        """Return what was learned, for a file."""
        ...

    def points(self, codes: CodeArray) -> NDArray[np.float32]:
        """Return the rows codes stand for, (n, p), of length 1: those near by are one cell."""
        ...

    def towards(self, asked: Any) -> NDArray[np.float32]:
        """Return where queries are among the points, (nq, p), of length 1."""
        ...

    def behind(self, codes: CodeArray, facts: Any) -> CodeArray:
        """Return what is scanned behind each code, (n, w), uint8; w may be 0."""
        ...

    def rows(self, asked: Any) -> NDArray[np.float32]:
        """Return what is scanned for, (nq, 8 (width + w)): its product with the signs is a score.

        A score of this form may be off by a factor for each query.
        """
        ...


class Scorer(Protocol):
    """The exact scores of a rank over all codes, and an index to find the highest ones by.

    A collection in memory answers the rank exactly by it: it re-scores the shortlist of `index` and
    proves by the bound that nothing is missing. Equal codes must have equal scores in every batch,
    and the scores must be those of `RankSpec.score`.
    """

    def prepare(self, queries: Queries) -> Prepared:
        """Make queries ready, all at once; of `len(queries)` queries."""
        ...

    def facts(self, codes: CodeArray) -> NDArray[Any] | None:
        """Return what is worth keeping of each code in memory (n,), or None.

        It depends on the code alone; whoever scores many codes again and again hands it back to the
        methods below instead of having it computed each time.
        """
        ...

    def of_each(self, asked: Any, codes: CodeArray, facts: Any = None) -> NDArray[np.float32]:
        """Scores of each query with its own candidates: codes (nq, c, width) -> (nq, c)."""
        ...

    def of_all(self, asked: Any, codes: CodeArray, facts: Any = None) -> NDArray[np.float32]:
        """Scores of each query with the same candidates: codes (c, width) -> (nq, c)."""
        ...

    def index(self, codes: CodeArray, facts: Any = None) -> Scan:
        """Make an immutable index of codes (n, width)."""
        ...

    def linear_form(
        self, codes: CodeArray, facts: Any = None, state: dict[str, list[float]] | None = None
    ) -> LinearForm:
        """Learn a linear form from codes and their facts, or take the state of one."""
        ...


#: Scores of one query with its candidates: (queries, what `prepare` returned, number of the query,
#: candidates) -> (c,), float32.
ScoreOf: TypeAlias = "Callable[[Queries, Any, int, Candidates], NDArray[np.float32]]"


def _always(quantizer: Any) -> bool:
    return True


@dataclass(frozen=True)
class RankSpec:
    """One way to order items: a row of the table of ranks.

    Attributes
    ----------
    name : str
    orders_by : str
        What decides the order, for the help of the command line and the docs.
    score : callable or None
        Gives scores, higher is better, rounded to float32: what has an equal score is a tie, and
        ties come in the order of adding. None: the Hamming distance alone.
    prepare : callable or None
        Called once a search with the queries; what it returns is handed to `score`.
    needs_rows : bool
        Whether queries must be real rows.
    needs : tuple of str
        Artifacts the collection must keep beside its quantizer: "decoder", "linear decoder".
    keeps : tuple of str
        What the collection must keep of its rows, one of these; empty: anything.
    distance_first : bool
        Whether the Hamming distance decides and the score breaks its ties.
    scorer : callable or None
        Makes, of the collection's quantizer, what scans all codes by this rank, exactly. None: the
        rank orders a shortlist found by another (`asymmetric` in memory, `hamming` on servers).
    suits : callable
        Whether a collection with this quantizer (or None) can be asked for it.
    is_default : bool
        Whether it is the rank of real queries where the caller does not say, in collections it
        suits. Of several the last row of the table counts.
    score_is : str
        What `Neighbours.scores` holds.
    bytes_kept : str
        Bytes an item beside its code, for the docs.
    """

    name: str
    orders_by: str
    score: ScoreOf | None = None
    prepare: Callable[[Queries], Any] | None = None
    needs_rows: bool = True
    needs: tuple[Artifact, ...] = ()
    keeps: tuple[Keep, ...] = ()
    distance_first: bool = False
    scorer: Callable[[Any], Scorer] | None = None
    suits: Callable[[Any], bool] = _always
    is_default: bool = False
    score_is: str = ""
    bytes_kept: str = "k/8"

    @property
    def needs_records(self) -> bool:
        """Whether it looks at more than the codes."""
        return bool(self.keeps)

    def prepared(self, queries: Queries) -> Any:
        """Return what `score` is to be handed beside the queries."""
        return None if self.prepare is None else self.prepare(queries)
