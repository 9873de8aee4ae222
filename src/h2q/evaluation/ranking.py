"""The rankings: how database items are ordered for a query, and what ties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._backend import OUTSIDE, Backend, backend_for
from h2q.evaluation._labels import Relevance
from h2q.evaluation._sides import Decoder, DistinctCodes, prepare
from h2q.evaluation._ties import TieGroups, add_distances, groups_by_distance, groups_by_key

#: `hamming`: distance of the codes. `asymmetric`: real query against +-1 codes. `embedding`:
#: distance of the codes, its ties broken by the distance of the normalised real rows (the
#: paper's). `cosine`: real on both sides, no code at all: the bound. `decoded`: real query against
#: what a `h2q.CodeDecoder` makes of the codes.
Ranking: TypeAlias = Literal["hamming", "asymmetric", "embedding", "cosine", "decoded"]
#: Those that need nothing but the items: all except `decoded`.
RANKINGS: tuple[Ranking, ...] = ("hamming", "asymmetric", "embedding", "cosine")


@dataclass(frozen=True, eq=False)
class Block:
    """What a block of queries retrieves.

    Attributes
    ----------
    rows : slice
        Which queries.
    n_relevant : array of int64, shape (b,)
        Relevant items in the whole database.
    groups : dict of str to TieGroups
        By ranking.
    by_distance : TieGroups or None
        Groups of equal Hamming distance, n_bits + 1 a query, where they were made.
    within : array of int64, shape (b,), or None
        Items within the radius, where one is set.
    """

    rows: slice
    n_relevant: Array
    groups: dict[str, TieGroups]
    by_distance: TieGroups | None
    within: Array | None


class Retrieval:
    """Queries against a database, ready to be ranked block by block.

    Parameters
    ----------
    query, database : array
        Rotated real rows, or packed codes with `n_bits`.
    relevance : Relevance
        Which items are relevant.
    n_bits : int, optional
        Length of packed codes.
    decoder : Decoder, optional
        Needed by the decoded ranking.
    """

    def __init__(
        self,
        query: Array,
        database: Array,
        relevance: Relevance,
        n_bits: int | None = None,
        decoder: Decoder | None = None,
    ) -> None:
        self.backend: Backend = backend_for(query, database)
        self.query, self.database, self.n_bits = prepare(query, database, n_bits, self.backend)
        self.relevance = relevance
        self._decoder = decoder
        self._distinct: dict[str, DistinctCodes] = {}

    def __len__(self) -> int:
        return len(self.query)

    def supported(self) -> tuple[Ranking, ...]:
        """Return the rankings these inputs allow: real rows where a ranking needs them."""
        if self.query.rows is None:
            return ("hamming",)
        names: tuple[Ranking, ...] = ("hamming", "asymmetric")
        if self.database.rows is not None:
            names += ("embedding", "cosine")
        return names if self._decoder is None else (*names, "decoded")

    def blocks(
        self,
        rankings: Sequence[Ranking],
        top: int | None = None,
        *,
        by_distance: bool = False,
        radius: int | None = None,
    ) -> Iterator[Block]:
        """Rank the database for each block of queries.

        Parameters
        ----------
        rankings : sequence of str
            Which rankings.
        top : int, optional
            How many of the best items to cover; all by default.
        by_distance : bool
            Also group by Hamming distance.
        radius : int, optional
            Retrieve only what is within this Hamming distance: `Block.within` items a query.
        """
        for name in rankings:
            if name not in get_args(Ranking):
                known = ", ".join(get_args(Ranking))
                raise InvalidInputError(f"unknown ranking {name!r}; one of {known}")
            if name == "decoded" and self._decoder is None:
                raise InvalidInputError(
                    "the decoded ranking needs decoder=, a fitted h2q.CodeDecoder"
                )
            if name not in self.supported():
                side = "query" if self.query.rows is None else "database"
                raise InvalidInputError(
                    f"the {name} ranking needs real rows, but {side} holds packed codes"
                )
        for name, decoder in (("asymmetric", None), ("decoded", self._decoder)):
            if name in rankings and name not in self._distinct:
                self._distinct[name] = DistinctCodes(
                    self.database.codes, self.n_bits, decoder, self.backend
                )
        n = len(self.database)
        top = n if top is None else min(top, n)
        # A ranking kept whole holds a group for each pair, so it gets smaller blocks.
        size = max(1, self.backend.block_pairs() // (2 if top > n // 4 else 1) // n)
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield self._rank(rows, rankings, top, by_distance, radius)

    def _rank(
        self,
        rows: slice,
        rankings: Sequence[Ranking],
        top: int,
        by_distance: bool,
        radius: int | None,
    ) -> Block:
        backend, xp = self.backend, self.backend.xp
        relevant = self.relevance.block(rows)
        groups: dict[str, TieGroups] = {}
        distances = histogram = within = None
        if by_distance or radius is not None or {"hamming", "embedding"} & set(rankings):
            distances = backend.distances(self.query.codes[rows], self.database.codes, self.n_bits)
        if distances is not None and (by_distance or "hamming" in rankings):
            histogram = groups_by_distance(distances, relevant, self.n_bits, backend)
            if "hamming" in rankings:
                groups["hamming"] = histogram
        if distances is not None and radius is not None:
            within = xp.sum(distances <= radius, axis=1)
        wanted = set(rankings)
        for name in wanted & set(self._distinct):
            keys = backend.sort_keys(self._distinct[name].similarities(self.query.unit.take(rows)))
            groups[name] = _grouped(keys, relevant, top, distances, radius, backend)
        if {"embedding", "cosine"} & wanted:
            keys = backend.sort_keys(self.database.unit.similarities(self.query.unit.take(rows)))
            if "embedding" in wanted and distances is not None:
                ties_broken = add_distances(keys, distances, backend)
                groups["embedding"] = _grouped(ties_broken, relevant, top, None, None, backend)
            if "cosine" in wanted:
                groups["cosine"] = _grouped(keys, relevant, top, distances, radius, backend)
        return Block(rows, xp.sum(relevant, axis=1), groups, histogram, within)


def _grouped(
    keys: Array,
    relevant: Array,
    top: int,
    distances: Array | None,
    radius: int | None,
    backend: Backend,
) -> TieGroups:
    if distances is not None and radius is not None:
        keys[distances > radius] = OUTSIDE
    return groups_by_key(keys, relevant, top, backend)
