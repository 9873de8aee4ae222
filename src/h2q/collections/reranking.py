"""Order a shortlist by any rank, from codes and records alone: the same for every engine."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.asymmetric_scores import byte_tables, scores_of_all
from h2q.collections.base import Keep, Rank
from h2q.collections.inputs import Queries, as_count
from h2q.collections.records import decode_rows, scales
from h2q.errors import InvalidInputError

RANKS: Final[tuple[Rank, ...]] = get_args(Rank)
#: What must be kept for a rank; the others need codes alone.
_NEEDS: Final[dict[str, tuple[Keep, ...]]] = {
    "calibrated": ("scale", "int8", "float16"),
    "embedding": ("int8", "float16"),
    "cosine": ("int8", "float16"),
}
#: Items of a shortlist for each item asked for, where the caller does not say.
DEFAULT_OVERSAMPLE: Final = 10
#: No shortlist is shorter: ranking so few costs less than finding them.
LEAST_SHORTLIST: Final = 1000
#: Cosine of the angle at an item's code between the query and the item's row, in
#: `calibrated_scores`: the values from 0.4 to 0.6 were equally good.
_COSINE_AT_CODE: Final = 0.5


def check_rank(rank: str | None, queries: Queries, keep: Keep) -> Rank:
    """Choose the rank: the one asked for, or the best one that queries and codes alone allow.

    Raises
    ------
    InvalidInputError
        If there is no such rank, or the queries or what the collection keeps do not allow it.
    """
    if rank is None:
        return "hamming" if queries.rows is None else "asymmetric"
    for known in RANKS:
        if rank == known:
            break
    else:
        raise InvalidInputError(f"rank must be one of {', '.join(RANKS)}, got {rank!r}")
    if known != "hamming" and queries.rows is None:
        raise InvalidInputError(
            f"the {known} ranking needs real queries, got packed codes; pass the rows that were "
            "coded (rotated where the collection has no quantizer) or rank='hamming'"
        )
    if known == "decoded" and queries.decoder is None:
        raise InvalidInputError(
            "the decoded ranking needs a collection made with a decoder (h2q.CodeDecoder); make "
            "another with open_collection(..., decoder=...) and add the items"
        )
    if keep not in _NEEDS.get(known, (keep,)):
        enough = " or ".join(f"keep={each!r}" for each in _NEEDS[known])
        raise InvalidInputError(
            f"the {known} ranking needs a collection made with {enough}; this one has "
            f"keep={keep!r}. Make another and add the items with their embeddings"
        )
    return known


def shortlist_length(k: int, oversample: int | None) -> int:
    """How many items to find where `k` are asked for and the rank orders a shortlist."""
    if oversample is not None:
        oversample = as_count(oversample, "oversample", least=1)
    return max(k * (oversample or DEFAULT_OVERSAMPLE), LEAST_SHORTLIST)


class Ranked(NamedTuple):
    """The best of a shortlist.

    `order` are indexes into the shortlist, best first; `distances` (int32) and `scores` (float32,
    None for "hamming") belong to them, as in `h2q.collections.Neighbours`.
    """

    order: NDArray[np.intp]
    distances: NDArray[np.int32]
    scores: NDArray[np.float32] | None


def rerank(
    rank: Rank,
    queries: Queries,
    number: int,
    codes: CodeArray,
    records: NDArray[np.uint8] | None,
    *,
    keep: Keep,
    n_bits: int,
    k: int,
    ages: NDArray[Any] | None = None,
) -> Ranked:
    """Order the shortlist of one query.

    Parameters
    ----------
    rank : str
        As `check_rank` returned it.
    queries : Queries
    number : int
        Which of the queries.
    codes : ndarray of shape (c, ceil(n_bits / 8)), uint8
        Codes of the shortlist.
    records : ndarray of shape (c, record_width(keep, n_bits)), uint8, or None
        Records of the shortlist; needed by the ranks that need more than codes.
    keep : str
        What the records are.
    n_bits : int
    k : int
        How many to return at most.
    ages : ndarray of shape (c,), optional
        Ascending in the order of adding; breaks ties. Without it the shortlist itself is in the
        order of adding.

    Returns
    -------
    Ranked
        The scores are, for "asymmetric", the inner product of the rotated query with the code as
        signs; for "decoded", that of the unit query with the row expected behind the code, over
        sqrt(n_bits); for "calibrated", the cosine of the rotated query and the row, estimated from
        code and scale (`calibrated_scores`); for "embedding" and "cosine", their cosine.
    """
    code = queries.codes[number]
    age = np.arange(len(codes)) if ages is None else ages
    if rank == "hamming" or queries.rows is None:
        distances = _distances(code, codes)
        order = np.lexsort((age, distances))[:k]
        return Ranked(order, distances[order], None)
    row = queries.rows[number]
    if rank == "asymmetric":
        scores = asymmetric_scores(row, codes)
    elif rank == "decoded" and queries.decoder is not None:
        scores = products(row, queries.decoder.decode(codes))
    elif records is None:
        raise ValueError(f"the {rank} ranking needs the records")
    elif rank == "calibrated":
        scores = calibrated_scores(row, codes, scales(records, keep, n_bits))
    else:
        scores = cosines(row, decode_rows(records, keep, n_bits))
    # Compared as they are returned: what has an equal score is a tie.
    if rank == "embedding":
        order = np.lexsort((age, -scores, _distances(code, codes)))[:k]
    else:
        kept = np.arange(len(scores))
        if len(scores) > 4 * k:  # sorting all would cost more than scoring them
            kept = np.flatnonzero(scores >= -np.partition(-scores, k - 1)[k - 1])
        order = kept[np.lexsort((age[kept], -scores[kept]))[:k]]
    return Ranked(order, _distances(code, codes[order]), scores[order])


def _distances(code: CodeArray, codes: CodeArray) -> NDArray[np.int32]:
    distances: NDArray[np.int32] = np.bitwise_count(codes ^ code).sum(axis=1, dtype=np.int32)
    return distances


def asymmetric_scores(row: NDArray[np.float32], codes: CodeArray) -> NDArray[np.float32]:
    """Inner product of a rotated row (n_bits,) with codes (c, width) as signs {-1, +1}."""
    scores: NDArray[np.float32] = scores_of_all(byte_tables(row[None], codes.shape[1]), codes)[0]
    return scores


def calibrated_scores(
    row: NDArray[np.float32], codes: CodeArray, scale: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Estimate the cosine of a row (n_bits,) with the rows behind codes, from code and scale.

    The query, the item and the item's code as signs are three points on a sphere, with known
    sides: t, the cosine of query and code, and c, the item's scale, the cosine of item and code.
    The spherical law of cosines gives the third::

        cos(query, item) = t c + cos(phi) sqrt(1 - t^2) sqrt(1 - c^2)

    phi, the angle at the code, is not known; 60 degrees is taken. ``docs/ranking.md`` has what
    this, and RaBitQ's estimator t / c (Gao & Long 2024, arXiv 2405.12497), were measured to do.
    """
    query = np.sqrt(row.shape[0] * np.square(row.astype(np.float64)).sum())
    t = np.clip(asymmetric_scores(row, codes) / query, -1.0, 1.0)
    c = np.minimum(scale, 1.0)
    estimate = t * c + _COSINE_AT_CODE * np.sqrt(1 - t * t) * np.sqrt(1 - c * c)
    cosine: NDArray[np.float32] = estimate.astype(np.float32)
    return cosine


def cosines(row: NDArray[np.float32], rows: NDArray[np.float64]) -> NDArray[np.float32]:
    """Cosine of a row (n_bits,) with each of `rows` (c, n_bits)."""
    lengths = np.sqrt(np.square(rows).sum(axis=1))
    cosine: NDArray[np.float32] = (_unit_products(row, rows) / lengths).astype(np.float32)
    return cosine


def products(row: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inner product of a row (n_bits,) at length 1 with each of `rows` (c, n_bits) / sqrt(n_bits).

    The length of a row of `rows` counts: it says how sure the row is.
    """
    product = _unit_products(row, rows.astype(np.float64)) / np.sqrt(row.shape[0])
    scores: NDArray[np.float32] = product.astype(np.float32)
    return scores


def _unit_products(row: NDArray[np.float32], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    query = row.astype(np.float64)
    query /= np.sqrt(np.square(query).sum())
    # Not a matrix product: equal rows must have equal products wherever they stand.
    total: NDArray[np.float64] = (rows * query).sum(axis=1)
    return total
