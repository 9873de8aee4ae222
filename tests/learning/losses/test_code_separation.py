"""The separation against codes found by brute force and against published distances."""

from __future__ import annotations

from itertools import combinations

import pytest

from h2q.errors import InvalidInputError
from h2q.learning.losses.code_separation import (
    cosine_separation,
    griesmer_length,
    minimum_distance,
)


def best_linear_code(length: int, dimension: int) -> int:
    """Largest minimum distance over all generator matrices [I | A], by brute force."""
    free = length - dimension
    rows = [
        [(1 << (free + i)) | tail for tail in range(2**free)] for i in range(dimension)
    ]  # row i of [I | A]: unit vector i, then any tail

    def distance(words: list[int]) -> int:
        span = [0]
        for word in words:
            span += [word ^ other for other in span]
        return min(w.bit_count() for w in span if w)

    def search(chosen: list[int]) -> int:
        if len(chosen) == dimension:
            return distance(chosen)
        # Rows can be swapped together with the columns of I: tails in order are enough.
        low = chosen[-1] & (2**free - 1) if chosen else 0
        return max(search([*chosen, r]) for r in rows[len(chosen)] if r & (2**free - 1) >= low)

    return search([])


@pytest.mark.parametrize(
    ("length", "dimension"), [(n, m) for m in (1, 2, 3) for n in range(m, 8)] + [(7, 4), (9, 5)]
)
def test_minimum_distance_is_that_of_the_best_code(length, dimension):
    assert minimum_distance(length, dimension) == best_linear_code(length, dimension)


@pytest.mark.parametrize(
    ("length", "dimension", "distance"),
    [
        (16, 5, 8),  # Reed-Muller (1, 4)
        (32, 6, 16),  # Reed-Muller (1, 5)
        (64, 7, 32),  # Reed-Muller (1, 6)
        (128, 8, 64),  # Reed-Muller (1, 7)
        (63, 6, 32),  # simplex
        (31, 6, 15),  # punctured Reed-Muller = BCH
        (63, 7, 31),  # BCH
        (24, 10, 8),  # shortened Golay code
        (64, 4, 33),
        (16, 7, 6),
        (32, 7, 14),
        (48, 7, 22),
    ],
)
def test_minimum_distance_of_known_codes(length, dimension, distance):
    assert minimum_distance(length, dimension) == distance


def test_minimum_distance_never_beats_the_griesmer_bound_and_is_monotone():
    for dimension in range(1, 12):
        before = 0
        for length in range(dimension, 140):
            d = minimum_distance(length, dimension)
            assert griesmer_length(d, dimension) <= length
            assert before <= d <= before + 2
            before = d


def test_codewords_of_a_pair_are_no_further_than_their_mean_distance():
    # Plotkin: the mean distance over pairs of M words is at most n M / (2 (M - 1)).
    for n_bits, n_classes in combinations((8, 16, 32, 64), 2):
        words = 2 ** (n_classes - 1).bit_length()
        assert cosine_separation(n_bits, n_classes) >= -1 / (words - 1) - 1e-12


@pytest.mark.parametrize(
    ("n_bits", "n_classes", "expected"),
    [
        (16, 10, 0.0),  # CIFAR-10 and so on in the paper
        (32, 10, 0.0),
        (48, 10, 0.0),
        (64, 10, -1 / 32),
        (16, 21, 0.0),
        (64, 21, 0.0),
        (16, 80, 0.25),
        (32, 100, 0.125),
        (48, 100, 1 / 12),
        (64, 100, 0.0),
        (16, 2, -1.0),
        (16, 1, -1.0),
    ],
)
def test_cosine_separation(n_bits, n_classes, expected):
    assert cosine_separation(n_bits, n_classes) == pytest.approx(expected)


def test_more_classes_than_codes():
    assert cosine_separation(4, 1000) == pytest.approx(0.5)


@pytest.mark.parametrize(("n_bits", "n_classes"), [(0, 10), (16, 0)])
def test_nonsense_is_refused(n_bits, n_classes):
    with pytest.raises(InvalidInputError, match="at least 1"):
        cosine_separation(n_bits, n_classes)
