"""Metrics from their definitions, by going through every order of the tied items."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np


def orders(scores) -> Iterator[list[int]]:
    """Every ranking that agrees with `scores` (lower is better)."""
    groups = [np.flatnonzero(scores == s) for s in np.unique(scores)]
    for parts in itertools.product(*(itertools.permutations(g) for g in groups)):
        yield [int(i) for part in parts for i in part]


def ap(relevant, k: int, normalisation: str) -> float:
    """AP of one ranked list of 0/1, one position after the other."""
    hits, total = 0, 0.0
    for position, is_relevant in enumerate(relevant[:k], start=1):
        if is_relevant:
            hits += 1
            total += hits / position
    divisor = {
        "retrieved": hits,
        "relevant": sum(relevant),
        "achievable": min(sum(relevant), k),
    }[normalisation]
    return total / divisor if divisor else 0.0


def expected(scores, relevant, metric) -> float:
    """Mean of `metric(ranked relevance)` over all tie orders."""
    relevant = np.asarray(relevant)
    return float(np.mean([metric([int(v) for v in relevant[o]]) for o in orders(scores)]))
