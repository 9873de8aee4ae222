"""Any rank of the table `h2q.ranks.RANKS`, judged by its own scores."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._backend import NUMPY
from h2q.evaluation._sides import Side
from h2q.evaluation._ties import add_distances
from h2q.ranks import KEEPS_OF_ROWS, Candidates, Keep, Queries, RankSpec
from h2q.ranks.records import encode_records, records_of


class TableRank:
    """A rank that scores queries against the whole database, as a collection would a shortlist.

    The scores are the rank's own: float32, where equal ones are ties. What it needs of the items'
    rows is what a collection with the first of its `keeps` has. Where it looks at the codes alone,
    each distinct code is scored once, so equal codes tie exactly.

    Parameters
    ----------
    rank : RankSpec
        One that the two sides allow.
    query, database : Side
    n_bits : int
    decoder, quantizer : optional
    """

    def __init__(
        self,
        rank: RankSpec,
        query: Side,
        database: Side,
        n_bits: int,
        decoder: Any = None,
        quantizer: Any = None,
    ) -> None:
        self._rank, self._backend = rank, database.backend
        self._codes = database.codes
        #: Whether `keys` needs the Hamming distances.
        self.needs_distances: Final = rank.score is None or rank.distance_first
        if rank.score is None:
            return
        here = self._backend.to_numpy
        self._queries = Queries(
            here(query.codes),
            None if query.rows is None else _float32(here(query.rows), "query"),
            decoder,
            quantizer,
            None if query.given is None else here(query.given),
        )
        codes = here(database.codes)
        keep: Keep = rank.keeps[0] if rank.keeps else "codes"
        self._inverse: NDArray[Any] | None = None
        records = None
        if rank.keeps:
            if keep in KEEPS_OF_ROWS:
                records = encode_records(_float32(here(database.whole), "database"), keep)
            else:
                rows = _float32(here(database.rows), "database")
                records = records_of(here(database.given), rows, codes, keep, quantizer)
        else:
            codes, self._inverse, _ = NUMPY.unique_codes(codes)
        self._found = Candidates(codes, records, keep, n_bits)
        self._state = rank.prepared(self._queries)

    def keys(self, rows: slice, distances: Array | None) -> Array:
        """Return int64 keys (b, n) that sort the database best first for a block of queries.

        Parameters
        ----------
        rows : slice
            Which queries.
        distances : array of int, shape (b, n), or None
            Hamming distances, where `needs_distances`.

        Raises
        ------
        InvalidInputError
            If the rank gives something else than one number an item.
        """
        backend, xp = self._backend, self._backend.xp
        if self._rank.score is None:
            return xp.astype(distances, xp.int64)
        scores = np.stack([self._scores(number) for number in range(rows.start, rows.stop)])
        keys = _descending(scores)
        if self._inverse is not None:
            keys = keys[:, self._inverse]
        here: Array = backend.asarray(keys)
        return add_distances(here, distances, backend) if self._rank.distance_first else here

    def _scores(self, number: int) -> NDArray[np.float32]:
        score: Any = self._rank.score
        scores = np.asarray(score(self._queries, self._state, number, self._found))
        expected = (len(self._found.codes),)
        if scores.shape != expected or scores.dtype.kind not in "fiu" or np.isnan(scores).any():
            raise InvalidInputError(
                f"the rank {self._rank.name!r} gave {scores.dtype} of shape {scores.shape}; its "
                f"score must return a number, no NaN, for each of {expected[0]} items"
            )
        return scores.astype(np.float32)


def _descending(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Turn float32 scores into integers that sort the highest first; equal scores, equal keys."""
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)  # -0.0 becomes 0.0
    ascending = np.where(bits < 0, np.int64(-(2**31)) - bits, bits)
    keys: NDArray[np.int64] = np.int64(2**31) - ascending
    return keys


def _float32(rows: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Rows as a collection takes them: none without a direction."""
    ready = np.ascontiguousarray(rows, dtype=np.float32)
    if not ready.any(axis=1).all():
        raise InvalidInputError(f"{name} has a row of zeros, which has no direction; remove it")
    return ready
