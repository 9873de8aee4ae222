"""All rankings and the bound in one pass over the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._numbers import whole_number
from h2q._progress import OnProgress
from h2q._renamed import renamed
from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._backend import backend_for
from h2q.evaluation._expectation import ratio
from h2q.evaluation._labels import SharedLabel
from h2q.evaluation._per_query import (
    Normalisation,
    WithoutRelevant,
    block_average_precision,
    by_radius,
    check_k,
    check_lengths,
    mean_over_queries,
)
from h2q.evaluation._sides import Decoder
from h2q.evaluation.ranking import Ranking, Retrieval
from h2q.ranks.table import refuse_text


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    n_queries, n_database, n_bits : int
        Sizes.
    settings : dict
        `k`, `normalisation`, `without_relevant`.
    queries_without_relevant : int
        Queries with no relevant item in the database.
    rankings : dict of str to dict of str to float
        By ranking: ``mAP`` and, for each k, ``mAP@k``, ``precision@k``, ``recall@k``.
        ``cosine`` is the real-valued bound.
    lookup : dict of str to float
        For each radius r: ``precision@r<=R``, ``recall@r<=R``, ``mAP@r<=R`` (Hamming ranking).
    average_precision : dict of str to ndarray, shape (nq,)
        By ranking, AP of each query at the first k: for confidence intervals and paired tests.
    """

    n_queries: int
    n_database: int
    n_bits: int
    settings: dict[str, Any]
    queries_without_relevant: int
    rankings: dict[str, dict[str, float]]
    lookup: dict[str, float]
    average_precision: dict[str, NDArray[np.float64]]

    def __getitem__(self, ranking: str) -> dict[str, float]:
        return self.rankings[ranking]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a value: ranking, metric, value."""
        lookup = {"lookup": self.lookup} if self.lookup else {}
        return [
            {"ranking": ranking, "metric": metric, "value": value}
            for ranking, values in {**self.rankings, **lookup}.items()
            for metric, value in values.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the per-query values, ready for JSON."""
        return {
            "n_queries": self.n_queries,
            "n_database": self.n_database,
            "n_bits": self.n_bits,
            "settings": self.settings,
            "queries_without_relevant": self.queries_without_relevant,
            "rankings": self.rankings,
            "lookup": self.lookup,
        }


@renamed(rankings="ranks", progress="on_progress")
def evaluate(
    query: Array,
    database: Array,
    query_labels: Array,
    database_labels: Array,
    *,
    k: int | Sequence[int | None] | None = None,
    ranks: Sequence[Ranking] | None = None,
    radii: Sequence[int] = (0, 1, 2),
    n_bits: int | None = None,
    normalisation: Normalisation = "retrieved",
    without_relevant: WithoutRelevant = "zero",
    decoder: Decoder | None = None,
    quantizer: Any = None,
    on_progress: OnProgress | None = None,
) -> Evaluation:
    """Evaluate every rank the inputs allow, sharing distances and similarities.

    Parameters
    ----------
    query, database, query_labels, database_labels, n_bits, normalisation, decoder, quantizer
        As in `h2q.evaluation.average_precision`.
    k : int, None, or a sequence of them
        Cut-offs; None is the whole database. The first is the one `average_precision` reports.
    ranks : sequence of str, optional
        Any of `h2q.ranks.RANKS`, one's own included. By default ``hamming``, ``asymmetric``,
        ``embedding`` and ``cosine`` for real rows, the first two for real queries against codes,
        ``hamming`` for codes alone; ``decoded`` or ``linear`` where there is such a decoder, the
        quantizer's own included, and ``reconstructed`` where its bits were chosen for it.
    radii : sequence of int
        Hamming radii of `Evaluation.lookup`; those above n_bits are left out.
    without_relevant : {"zero", "skip"}
        As in `h2q.evaluation.mean_average_precision`; it concerns mAP.
    on_progress : callable, optional
        Called with (queries done, queries in all) after each block.

    Returns
    -------
    Evaluation

    Raises
    ------
    InvalidInputError
        If the inputs do not match or hold NaN, a cut-off is below 1, there is none, an option is
        unknown, or the inputs do not allow one of the ranks.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> labels = rng.integers(0, 4, 300)
    >>> z = rng.standard_normal((4, 16))[labels] + rng.standard_normal((300, 16))
    >>> result = evaluate(z[:50], z[50:], labels[:50], labels[50:], k=100)
    >>> sorted(result.rankings)
    ['asymmetric', 'cosine', 'embedding', 'hamming']
    >>> result["cosine"]["mAP@100"] > result["hamming"]["mAP@100"]
    True
    """
    backend = backend_for(query, database)
    relevance = SharedLabel(query_labels, database_labels, backend)
    retrieval = Retrieval(query, database, relevance, n_bits, decoder, quantizer)
    check_lengths(retrieval, query_labels, database_labels)
    several: Any = k
    cutoffs = [check_k(each) for each in (several if np.iterable(several) else [several])]
    if not cutoffs:
        raise InvalidInputError("k is an empty list; give at least one cut-off, or None for all")
    refuse_text("ranks", ranks, "hamming")
    names = retrieval.supported() if ranks is None else tuple(ranks)
    radii = [whole_number(radius, "a radius", least=0) for radius in radii]
    radii = [radius for radius in radii if radius <= retrieval.n_bits]
    n, nq = len(retrieval.database), len(retrieval)
    top = n if None in cutoffs else min(n, max(c for c in cutoffs if c is not None))

    here_scores = {name: backend.empty((nq, len(cutoffs))) for name in names}
    here_found = {name: backend.empty((nq, len(cutoffs))) for name in names}
    measures = ("precision", "recall", "mAP")
    here_lookup = {metric: backend.empty((nq, len(radii))) for metric in measures}
    here_relevant = backend.empty((nq,), integer=True)
    cuts = np.array([n if c is None else min(c, n) for c in cutoffs], dtype=np.int64)
    here_cuts = backend.asarray(cuts)
    for block in retrieval.blocks(names, top, by_distance=bool(radii)):
        rows = block.rows
        here_relevant[rows] = block.n_relevant
        for name in names:
            groups = block.groups[name]
            here_found[name][rows] = groups.expected_relevant(here_cuts)
            for j, cut in enumerate(cuts.tolist()):
                here_scores[name][rows, j] = block_average_precision(
                    groups, block, cut, normalisation
                )
        if block.by_distance is not None:
            items, hits = by_radius(block, retrieval.n_bits)
            for j, radius in enumerate(radii):
                within = items[:, radius]
                inside = hits[:, radius]
                here_lookup["precision"][rows, j] = ratio(inside, within, backend)
                here_lookup["recall"][rows, j] = ratio(inside, block.n_relevant, backend)
                here_lookup["mAP"][rows, j] = block_average_precision(
                    block.by_distance, block, within, normalisation
                )
        if on_progress is not None:
            on_progress(rows.stop, nq)

    scores = {name: backend.to_numpy(values) for name, values in here_scores.items()}
    found = {name: backend.to_numpy(values) for name, values in here_found.items()}
    lookup = {metric: backend.to_numpy(values) for metric, values in here_lookup.items()}
    n_relevant = backend.to_numpy(here_relevant)

    def mean_ap(values: NDArray[np.float64]) -> float:
        return mean_over_queries(values, n_relevant, without_relevant)

    tables: dict[str, dict[str, float]] = {}
    for name in names:
        table = tables[name] = {}
        for j, cutoff in enumerate(cutoffs):
            at = "" if cutoff is None else f"@{cutoff}"
            table[f"mAP{at}"] = mean_ap(scores[name][:, j])
            if cutoff is not None:
                table[f"precision{at}"] = float((found[name][:, j] / cuts[j]).mean())
                table[f"recall{at}"] = float((found[name][:, j] / np.maximum(n_relevant, 1)).mean())
    by_lookup: dict[str, float] = {}
    for j, radius in enumerate(radii):
        for metric in ("precision", "recall"):
            by_lookup[f"{metric}@r<={radius}"] = float(lookup[metric][:, j].mean())
        by_lookup[f"mAP@r<={radius}"] = mean_ap(lookup["mAP"][:, j])
    return Evaluation(
        n_queries=nq,
        n_database=n,
        n_bits=retrieval.n_bits,
        settings={
            "k": [None if c is None else int(c) for c in cutoffs],
            "normalisation": normalisation,
            "without_relevant": without_relevant,
        },
        queries_without_relevant=int(np.count_nonzero(n_relevant == 0)),
        rankings=tables,
        lookup=by_lookup,
        average_precision={name: scores[name][:, 0] for name in names},
    )
