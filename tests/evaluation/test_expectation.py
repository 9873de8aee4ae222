"""The closed form equals the mean over every order of the ties."""

from __future__ import annotations

import itertools
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2q.evaluation import mean_average_precision, precision_at_k, recall_at_k
from h2q.evaluation._expectation import expected_average_precision
from h2q.evaluation._ties import TieGroups
from tests.evaluation.brute import ap, expected

NORMALISATIONS = ("retrieved", "relevant", "achievable")


def codes_at(distances, n_bits: int):
    """Real rows at the given Hamming distances from the all-positive query."""
    rows = np.ones((len(distances), n_bits))
    for row, distance in zip(rows, distances, strict=True):
        row[:distance] = -1
    return np.ones((1, n_bits)), rows


@settings(max_examples=60, deadline=None)
@given(
    items=st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7),
    k=st.integers(1, 8),
)
def test_hamming_map_is_the_mean_over_all_tie_orders(items, k):
    distances = np.array([d for d, _ in items])
    relevant = np.array([int(r) for _, r in items])
    query, database = codes_at(distances, 3)
    for normalisation in NORMALISATIONS:
        value = mean_average_precision(
            query, database, np.array([1]), relevant, k=k, normalisation=normalisation
        )
        want = expected(distances, relevant, lambda ranked, n=normalisation: ap(ranked, k, n))
        assert value == pytest.approx(want, abs=1e-12)
    cut = min(k, len(items))
    precision = precision_at_k(query, database, np.array([1]), relevant, k=k)
    want = expected(distances, relevant, lambda ranked: sum(ranked[:cut]) / cut)
    assert precision == pytest.approx(want, abs=1e-12)
    recall = recall_at_k(query, database, np.array([1]), relevant, k=k)
    assert recall == pytest.approx(want * cut / max(1, relevant.sum()), abs=1e-12)


def exact_ap_over_cut(n_before, r_before, total, relevant, m) -> Fraction:
    """Exact expected AP@(n_before + m): all placements of `relevant` in a tie of `total`.

    The items above the tie are `r_before` relevant ones, then the others.
    """
    outcomes = Counter(
        tuple(sorted(p for p in places if p < m))
        for places in itertools.combinations(range(total), relevant)
    )
    above = Fraction(r_before)
    value = Fraction(0)
    for places, count in outcomes.items():
        found = r_before + len(places)
        precisions = sum(Fraction(r_before + j + 1, n_before + p + 1) for j, p in enumerate(places))
        value += count * (above + precisions) / found if found else 0
    return value / sum(outcomes.values())


@pytest.mark.parametrize("n_before", [0, 5])
@pytest.mark.parametrize("m", [1, 4, 11])
@pytest.mark.parametrize("relevant", [1, 5, 12])
def test_a_cut_tie_averages_over_the_number_of_relevant_retrieved(n_before, m, relevant):
    total, r_before = 12, n_before // 2
    groups = TieGroups(
        n_queries=1,
        rows=np.array([0, 0, 0]),
        totals=np.array([r_before, n_before - r_before, total]),
        relevant=np.array([r_before, 0, relevant]),
    )
    (value,) = expected_average_precision(groups, np.array([n_before + m]))
    want = exact_ap_over_cut(n_before, r_before, total, relevant, m)
    assert value == pytest.approx(float(want), rel=1e-12)


def test_a_large_cut_tie_agrees_with_simulation():
    rng = np.random.default_rng(0)
    total, relevant, k = 20_000, 3_000, 5_000
    groups = TieGroups(1, np.array([0]), np.array([total]), np.array([relevant]))
    (value,) = expected_average_precision(groups, np.array([k]))
    flags = np.zeros(total, dtype=np.int64)
    flags[:relevant] = 1
    samples = []
    for _ in range(300):
        head = rng.permutation(flags)[:k]
        hits = np.cumsum(head)
        samples.append((head * hits / np.arange(1, k + 1)).sum() / hits[-1])
    error = np.std(samples) / np.sqrt(len(samples))
    assert abs(value - np.mean(samples)) < 4 * error


def test_one_tie_of_everything_approaches_the_share_of_relevant():
    groups = TieGroups(1, np.array([0]), np.array([10**6]), np.array([10**5]))
    (value,) = expected_average_precision(groups, np.array([10**6]))
    assert value == pytest.approx(0.1, abs=2e-5)


def test_nothing_relevant_scores_zero_and_not_nan():
    groups = TieGroups(2, np.array([0, 1]), np.array([5, 5]), np.array([0, 2]))
    values = expected_average_precision(groups, np.array([3, 3]))
    assert values[0] == 0
    assert 0 < values[1] < 1
