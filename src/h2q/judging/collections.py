"""Judge a collection by the labels in its payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from h2q._numbers import whole_number
from h2q._typing import RandomState
from h2q.collections.base import Collection
from h2q.datasets.labels import encode_name_sets
from h2q.errors import InvalidInputError
from h2q.judging.labels import check_relevant
from h2q.quantization.randomness import as_generator

if TYPE_CHECKING:
    from h2q.evaluation import Evaluation


def evaluate_collection(
    collection: Collection,
    *,
    k: int | None = None,
    n_queries: int = 500,
    random_state: RandomState = 0,
    radii: tuple[int, ...] = (0, 1, 2),
) -> Evaluation:
    """Search for some of the items among the others, by their codes.

    Relevant is what shares a label: the payload's `label`, or one of its `labels`. Items without
    are left out.

    Parameters
    ----------
    collection : Collection
    k : int, optional
        Depth of the ranking.
    n_queries : int
        Items, drawn with the seed, that are queries instead of being in the database; at most
        half of all.
    random_state : int, Generator, RandomState or None
    radii : tuple of int
        Hamming radii of the lookup metrics.

    Returns
    -------
    h2q.evaluation.Evaluation

    Raises
    ------
    InvalidInputError
        If fewer than two items have a label, or none is shared.
    """
    from h2q.evaluation import evaluate

    n_queries = whole_number(n_queries, "n_queries")
    generator = as_generator(random_state)
    names: list[list[str]] = []
    blocks = []
    for batch in collection.iterate():
        labels = [_labels(payload) for payload in batch.payloads]
        kept = [place for place, found in enumerate(labels) if found]
        names.extend(labels[place] for place in kept)
        blocks.append(batch.codes[kept])
    if len(names) < 2:
        raise InvalidInputError(
            f"{collection.uri}: {len(names)} of {len(collection)} items have a label; photos in "
            "subfolders get one when they are indexed"
        )
    codes = np.concatenate(blocks)
    hot, _ = encode_name_sets(names)
    order = generator.permutation(len(codes))
    count = max(1, min(n_queries, len(codes) // 2))
    query, database = np.sort(order[:count]), np.sort(order[count:])
    check_relevant(hot[query], hot[database], collection.uri)
    return evaluate(
        codes[query],
        codes[database],
        hot[query],
        hot[database],
        k=k,
        n_bits=collection.n_bits,
        radii=radii,
    )


def _labels(payload: dict[str, Any] | None) -> list[str]:
    if not payload:
        return []
    several = payload.get("labels")
    if isinstance(several, list):
        return [str(label) for label in several]
    return [str(payload["label"])] if "label" in payload else []
