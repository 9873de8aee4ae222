"""The rank "calibrated": the cosine estimated from a code and the scale of its row.

Where a quantizer centres and brings rows back, code and scale are those of uncentred rows.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.ranks import cosine
from h2q.ranks.keeping import KEEPS_OF_ROWS
from h2q.ranks.reconstructed import ReconstructionScorer
from h2q.ranks.records import keeps_uncentred_rows, scales
from h2q.ranks.sign_scores import asymmetric_scores
from h2q.ranks.spec import Candidates, Queries

#: Cosine of the angle at an item's code between the query and the item's row: the values from 0.4
#: to 0.6 were equally good.
_COSINE_AT_CODE: Final = 0.5
#: The same where the row behind the code has the mean in it.
_COSINE_AT_ROW: Final = 0.35


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
    return third_side(asymmetric_scores(row, codes) / query, scale, _COSINE_AT_CODE)


def third_side(
    to_query: NDArray[Any], to_item: NDArray[Any], cosine_between: float
) -> NDArray[np.float32]:
    """Return the cosine of the side across from an angle, given the cosines of the other two."""
    t, c = (np.clip(each.astype(np.float64), -1.0, 1.0) for each in (to_query, to_item))
    estimate = t * c + cosine_between * np.sqrt(1 - t * t) * np.sqrt(1 - c * c)
    estimated: NDArray[np.float32] = estimate.astype(np.float32)
    return estimated


def prepare(queries: Queries) -> tuple[Any, Any]:
    """Return the queries as whole rows are kept, and for the cosine with the row behind a code."""
    rows = cosine.prepare(queries)
    if not keeps_uncentred_rows(queries.quantizer):
        return rows, None
    ready = ReconstructionScorer(queries.quantizer.decoder_, exponent=1.0)
    return rows, (ready, ready.prepare(queries))


def score(queries: Queries, state: Any, number: int, found: Candidates) -> NDArray[np.float32]:
    """Scores of the candidates of one query; `state` is what `prepare` returned.

    Where whole rows are kept uncentred, nothing need be estimated: they are the cosines.
    """
    if queries.rows is None:
        raise ValueError("the rank 'calibrated' needs real queries")
    rows, uncentred = state
    if uncentred is None:
        scale = scales(found.needed_records(), found.keep, found.n_bits)
        return calibrated_scores(queries.rows[number], found.codes, scale)
    if found.keep in KEEPS_OF_ROWS:
        return cosine.score(queries, rows, number, found)
    scale = scales(found.needed_records(), found.keep, found.n_bits)
    ready, asked = uncentred
    of_one = ready.of_all(asked.take(slice(number, number + 1)), found.codes).reshape(-1)
    return third_side(of_one, scale, _COSINE_AT_ROW)
