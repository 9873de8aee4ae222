"""Everything within a Hamming radius: lookup metrics against their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from h2q.codes import hamming_distances, pack
from h2q.errors import InvalidInputError
from h2q.evaluation import (
    mean_average_precision,
    precision_recall_by_radius,
    precision_recall_curve,
    precision_within_radius,
    radius_aware_map,
)
from tests.evaluation.brute import ap, expected


def small(seed=0, n_bits=6):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((38, n_bits))
    labels = rng.integers(0, 3, 38)
    return z[:30], z[30:], labels[:30], labels[30:]


def test_precision_and_recall_within_each_radius():
    q, d, ql, dl = small()
    distances = hamming_distances(pack(q), pack(d))
    curve = precision_recall_by_radius(q, d, ql, dl)
    assert curve.cutoffs.tolist() == list(range(7))
    for radius in range(7):
        precision, recall = [], []
        for row, label in zip(distances, ql, strict=True):
            hits = int(((row <= radius) & (dl == label)).sum())
            retrieved = int((row <= radius).sum())
            precision.append(hits / retrieved if retrieved else 0)
            recall.append(hits / int((dl == label).sum()))
        assert curve.precision[radius] == pytest.approx(np.mean(precision))
        assert curve.recall[radius] == pytest.approx(np.mean(recall))
        within = precision_within_radius(q, d, ql, dl, radius=radius)
        assert within == pytest.approx(np.mean(precision))
    assert curve.recall[-1] == pytest.approx(1)


@pytest.mark.parametrize("ranking", ["hamming", "asymmetric", "embedding", "cosine"])
def test_map_within_a_radius_ranks_only_what_is_inside(ranking):
    q, d, ql, dl = small()
    distances = hamming_distances(pack(q), pack(d))
    for radius in (0, 1, 2, 6):
        inside_only = []
        for i in range(len(q)):
            inside = distances[i] <= radius
            inside_only.append(
                mean_average_precision(q[[i]], d[inside], ql[[i]], dl[inside], rank=ranking)
                if inside.any()
                else 0.0
            )
        got = mean_average_precision(q, d, ql, dl, rank=ranking, radius=radius)
        assert got == pytest.approx(np.mean(inside_only), rel=1e-12)


def test_map_within_a_radius_by_enumeration():
    q, d, ql, dl = small(n_bits=3)
    distances = hamming_distances(pack(q), pack(d))
    want = []
    for row, label in zip(distances, ql, strict=True):
        inside = row <= 1
        relevant = dl[inside] == label
        want.append(
            expected(row[inside], relevant, lambda r: ap(r, len(r), "retrieved"))
            if inside.any()
            else 0.0
        )
    assert mean_average_precision(q, d, ql, dl, radius=1) == pytest.approx(np.mean(want))


def test_radius_aware_map_is_the_mean_over_radii():
    q, d, ql, dl = small()
    curve = precision_recall_by_radius(q, d, ql, dl)
    assert radius_aware_map(q, d, ql, dl) == pytest.approx(curve.precision.mean())
    assert radius_aware_map(q, d, ql, dl, max_radius=1) == pytest.approx(curve.precision[:2].mean())
    costs = np.array([1, 7, 22])  # buckets of 6 bits within radius 0, 1, 2
    costly = radius_aware_map(q, d, ql, dl, max_radius=2, lookup_cost=True)
    assert costly == pytest.approx((curve.precision[:3] / costs).mean())


@pytest.mark.parametrize("lookup_cost", [False, True])
@pytest.mark.parametrize("max_radius", [0, 3, 6])
def test_radius_aware_map_by_its_definition(max_radius, lookup_cost):
    """Query by query and radius by radius; what lies within 0 of a query may be nothing."""
    q, d, ql, dl = small()
    total, empty = 0.0, 0
    for row, label in zip(hamming_distances(pack(q), pack(d)), ql, strict=True):
        for radius in range(max_radius + 1):
            inside = [i for i, distance in enumerate(row) if distance <= radius]
            empty += not inside
            if inside:
                buckets = sum(math.comb(6, r) for r in range(radius + 1)) if lookup_cost else 1
                total += sum(dl[i] == label for i in inside) / (len(inside) * buckets)
    assert empty
    want = total / (max_radius + 1) / len(q)
    got = radius_aware_map(q, d, ql, dl, max_radius=max_radius, lookup_cost=lookup_cost)
    assert got == pytest.approx(want, rel=1e-12)


def test_curve_over_k_has_sane_ends():
    q, d, ql, dl = small()
    curve = precision_recall_curve(q, d, ql, dl)
    assert curve.cutoffs[0] == 1
    assert curve.cutoffs[-1] == len(d)
    assert (np.diff(curve.recall) >= -1e-12).all()
    assert curve.recall[-1] == pytest.approx(1)
    share = np.mean([(dl == label).mean() for label in ql])
    assert curve.precision[-1] == pytest.approx(share)


def test_bad_radii_and_cutoffs():
    data = small()
    with pytest.raises(InvalidInputError, match="radius must be a whole number from 0 to 6"):
        precision_within_radius(*data, radius=7)
    with pytest.raises(InvalidInputError, match="max_radius must be a whole number from 0 to 6"):
        radius_aware_map(*data, max_radius=-1)
    with pytest.raises(InvalidInputError, match="radius must be a whole number of at least 0"):
        mean_average_precision(*data, radius=-1)
    with pytest.raises(InvalidInputError, match="a cut-off k must be a whole number"):
        precision_recall_curve(*data, at=[0, 3])
