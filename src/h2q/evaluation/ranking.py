"""The rankings: how database items are ordered for a query, and what ties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._backend import OUTSIDE, Backend, backend_for
from h2q.evaluation._labels import Relevance
from h2q.evaluation._sides import Decoder, DistinctCodes, prepare
from h2q.evaluation._table_ranks import TableRank
from h2q.evaluation._ties import TieGroups, add_distances, groups_by_distance, groups_by_key
from h2q.ranks import (
    RANKS,
    RankSpec,
    class_of_artifact,
    has_artifact,
    is_shipped,
    rank_named,
)
from h2q.ranks.reconstructed import own_decoder

#: The name of a rank of the table `h2q.ranks.RANKS`.
Ranking: TypeAlias = str
#: Those that need nothing but the items, and have code of their own here: the real rows are there
#: whole, and nothing need be kept of them.
RANKINGS: Final[tuple[Ranking, ...]] = ("hamming", "asymmetric", "embedding", "cosine")
#: "decoded" as well: its rows are multiplied in blocks.
_OWN_CODE: Final = (*RANKINGS, "decoded")


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
        Needed by the ranks "decoded" and "linear".
    quantizer : fitted quantizer, optional
        Rotates and codes the real rows.
    """

    def __init__(
        self,
        query: Array,
        database: Array,
        relevance: Relevance,
        n_bits: int | None = None,
        decoder: Decoder | None = None,
        quantizer: Any = None,
    ) -> None:
        self.backend: Backend = backend_for(query, database)
        self.query, self.database, self.n_bits = prepare(
            query, database, n_bits, self.backend, quantizer
        )
        self.relevance = relevance
        self._decoder, self._quantizer = decoder, quantizer
        self._distinct: dict[str, DistinctCodes] = {}
        self._of_table: dict[str, TableRank] = {}

    def __len__(self) -> int:
        return len(self.query)

    def supported(self) -> tuple[Ranking, ...]:
        """Return what is judged where nobody says by which ranks.

        Of what the inputs allow: the ranks that need nothing else, those whose decoder was given,
        and the usual one of the quantizer.
        """
        return tuple(
            rank.name
            for rank in RANKS.values()
            if (rank.name in RANKINGS or rank.needs or rank.is_default)
            and self._why_not(rank) is None
        )

    def _why_not(self, rank: RankSpec) -> str | None:
        """Say what a rank lacks; None where it can be had."""
        for need in rank.needs:
            if not has_artifact(self._decoder, need, self._quantizer):
                return f"needs decoder=, a fitted {class_of_artifact(need)}"
        needy = {"query": rank.needs_rows, "database": bool(rank.keeps)}
        for name, needs_rows in needy.items():
            if needs_rows and getattr(self, name).rows is None:
                return f"needs real rows, but {name} holds packed codes"
        if not rank.suits(self._quantizer):
            if self._quantizer is None:
                return "needs quantizer=, the fitted quantizer it suits"
            return f"does not suit a {type(self._quantizer).__name__}"
        return None

    def _puts_mean_back(self, name: Ranking) -> bool:
        """Whether a score is more than a product of rotated rows: where a quantizer centres."""
        return name in ("asymmetric", "decoded") and own_decoder(self._quantizer) is not None

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
            rank = rank_named(name)
            why_not = self._why_not(rank)
            if why_not is not None:
                raise InvalidInputError(f"the rank {name!r} {why_not}")
            if name in self._distinct or name in self._of_table:
                continue
            if name not in _OWN_CODE or not is_shipped(rank) or self._puts_mean_back(name):
                self._of_table[name] = TableRank(
                    rank, self.query, self.database, self.n_bits, self._decoder, self._quantizer
                )
            elif name in ("asymmetric", "decoded"):
                self._distinct[name] = DistinctCodes(
                    self.database.codes,
                    self.n_bits,
                    self._decoder if name == "decoded" else None,
                    self.backend,
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
        of_table = {name: self._of_table[name] for name in rankings if name in self._of_table}
        wanted = set(rankings) - set(of_table)
        if (
            by_distance
            or radius is not None
            or {"hamming", "embedding"} & wanted
            or any(rank.needs_distances for rank in of_table.values())
        ):
            distances = backend.distances(self.query.codes[rows], self.database.codes, self.n_bits)
        if distances is not None and (by_distance or "hamming" in wanted):
            histogram = groups_by_distance(distances, relevant, self.n_bits, backend)
            if "hamming" in wanted:
                groups["hamming"] = histogram
        if distances is not None and radius is not None:
            within = xp.sum(distances <= radius, axis=1)
        for name, rank in of_table.items():
            keys = rank.keys(rows, distances)
            groups[name] = _grouped(keys, relevant, top, distances, radius, backend)
        for name in wanted & set(self._distinct):
            keys = backend.sort_keys(self._distinct[name].similarities(self.query.unit.take(rows)))
            groups[name] = _grouped(keys, relevant, top, distances, radius, backend)
        if {"embedding", "cosine"} & wanted:
            query = self.query.unit_whole.take(rows)
            keys = backend.sort_keys(self.database.unit_whole.similarities(query))
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
