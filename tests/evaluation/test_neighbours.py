"""Recall of the true neighbours of unlabelled embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import h2q
from h2q.codes import hamming_distances, pack
from h2q.errors import InvalidInputError
from h2q.evaluation import neighbour_recall, precision_recall_curve


@pytest.fixture
def sides():
    rng = np.random.default_rng(3)
    return rng.standard_normal((25, 40)), rng.standard_normal((300, 40))


def test_cosine_finds_its_own_neighbours(sides):
    assert neighbour_recall(*sides, k=10, shortlist=10, rank="cosine") == 1


def test_hamming_shortlist_against_scikit_learn(sides):
    q, d = sides
    nearest = NearestNeighbors(n_neighbors=5, metric="cosine").fit(d).kneighbors(q)[1]
    distances = hamming_distances(pack(q), pack(d))
    shares = []
    for row, truth in zip(distances, nearest, strict=True):
        edge = np.sort(row)[59]
        at_edge = row == edge
        chance = (60 - (row < edge).sum()) / at_edge.sum()
        shares.append(np.mean([row[i] < edge or chance * at_edge[i] for i in truth]))
    assert neighbour_recall(q, d, k=5, shortlist=60) == pytest.approx(np.mean(shares))


def test_truth_may_come_from_the_originals(sides):
    q, d = sides
    low = neighbour_recall(
        pack(q[:, :8]), pack(d[:, :8]), query_embeddings=q, database_embeddings=d, n_bits=8
    )
    high = neighbour_recall(q, d, rank="asymmetric")
    assert 0 < low < high < 1


def test_everything_in_the_shortlist_is_recall_one(sides):
    assert neighbour_recall(*sides, shortlist=10_000) == pytest.approx(1)


def test_bad_input(sides):
    q, d = sides
    with pytest.raises(InvalidInputError, match="k must be a whole number from 1 to 300"):
        neighbour_recall(q, d, k=301)
    with pytest.raises(InvalidInputError, match="shortlist"):
        neighbour_recall(q, d, shortlist=0)
    with pytest.raises(InvalidInputError, match="finite real rows"):
        neighbour_recall(pack(q), pack(d), n_bits=40)
    with pytest.raises(InvalidInputError, match="differ in number"):
        neighbour_recall(q, d, query_embeddings=q[:3], database_embeddings=d)


def test_a_quantizer_brings_its_own_rank(sides, tmp_path):
    """What a collection with the quantizer finds is what is judged."""
    q, d = sides
    quantizer = h2q.LocalSearchQuantizer(48, random_state=0).fit(d)
    judged = neighbour_recall(q, d, k=5, shortlist=20, rank="reconstructed", quantizer=quantizer)
    nearest = NearestNeighbors(n_neighbors=5, metric="cosine").fit(d).kneighbors(q)[1]
    with h2q.open_collection(tmp_path / "c.h2q", quantizer=quantizer) as items:
        items.add(range(len(d)), d)
        found = items.search(q, 20).ids
    shares = [len({*map(int, a)} & {*b}) / 5 for a, b in zip(found, nearest.tolist(), strict=True)]
    assert judged == pytest.approx(np.mean(shares))
    curve = precision_recall_curve(
        q, d, np.arange(25) % 3, np.arange(300) % 3, rank="reconstructed", quantizer=quantizer
    )
    assert curve.recall[-1] == 1
