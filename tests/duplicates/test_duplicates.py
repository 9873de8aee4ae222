from __future__ import annotations

import doctest
import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from h2q.codes import hamming_distances, pack
from h2q.duplicates import find_groups, groups, join, near_pairs, pairs, plan
from h2q.duplicates.distinct import as_words
from h2q.errors import InvalidInputError
from tests.duplicates.brute import brute_groups, brute_pairs


def alike(seed: int, n: int, n_bits: int, flips: float) -> NDArray[np.uint8]:
    """Codes around a few centres, each bit of the centre flipped with a probability."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2, (max(1, n // 6), n_bits))
    return pack(centres[rng.integers(0, len(centres), n)] ^ (rng.random((n, n_bits)) < flips))


@st.composite
def collections_of_codes(draw: st.DrawFn) -> tuple[NDArray[np.uint8], int, int]:
    n_bits = draw(st.sampled_from([1, 3, 8, 12, 16, 31, 64, 65, 128, 200]))
    n = draw(st.integers(0, 90))
    seed = draw(st.integers(0, 2**32 - 1))
    codes = alike(seed, n, n_bits, draw(st.sampled_from([0.0, 0.02, 0.1, 0.5])))
    return codes, n_bits, draw(st.integers(0, 9))


@settings(max_examples=150, deadline=None)
@given(collections_of_codes())
def test_pairs_and_groups_are_those_of_brute_force(
    given_codes: tuple[NDArray[np.uint8], int, int],
) -> None:
    codes, n_bits, radius = given_codes
    expected = brute_pairs(codes, radius)
    found = near_pairs(codes, n_bits, radius)
    assert sorted(found.rows()) == expected
    result = find_groups(codes, n_bits, radius)
    assert sorted(sorted(group.rows.tolist()) for group in result) == brute_groups(codes, radius)
    assert result.pairs_at.tolist() == [
        sum(d == at for _, _, d in expected) for at in range(radius + 1)
    ]
    assert result.n_pairs == len(expected)
    for group in result:
        head = codes[group.rows[:1]]
        assert group.distances.tolist() == hamming_distances(head, codes[group.rows])[0].tolist()
        assert group.rows[0] == group.rows.min()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(0, 6), st.sampled_from([16, 64, 100])
)
def test_every_plan_finds_each_pair_once(seed: int, radius: int, more: int, n_bits: int) -> None:
    """Whatever number of blocks is chosen; left to itself a small input takes brute force."""
    codes = np.unique(alike(seed, 60, n_bits, 0.05), axis=0)
    words = as_words(codes)
    scheme = plan._plan(words.shape[1], n_bits, radius, radius + more, 0.0)
    assert len(scheme.keys) == math.comb(radius + more, radius)
    seen: list[tuple[int, int, int]] = []
    for key in scheme.keys:
        for block in join._pairs_of_key(words, key, radius):
            seen += list(zip(*(part.tolist() for part in block), strict=True))
    assert sorted(seen) == brute_pairs(codes, radius)


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = alike(1, 400, 32, 0.05)
    before, pairs_before = find_groups(codes, 32, 4), near_pairs(codes, 32, 4)
    monkeypatch.setattr(join, "_BLOCK_PAIRS", 7)
    monkeypatch.setattr(groups, "_HELD_PAIRS", 5)
    after, pairs_after = find_groups(codes, 32, 4), near_pairs(codes, 32, 4)
    assert [g.rows.tolist() for g in before] == [g.rows.tolist() for g in after]
    for name in ("left", "right", "distances"):
        np.testing.assert_array_equal(getattr(pairs_before, name), getattr(pairs_after, name))


def test_groups_chain() -> None:
    codes = pack(np.tril(np.ones((9, 8), dtype=int), -1))  # 0, 1, ..., 8 leading bits set
    assert [g.rows.tolist() for g in find_groups(codes, 8, 1)] == [list(range(9))]
    assert find_groups(codes, 8, 1)[0].reach == 8
    assert len(near_pairs(codes, 8, 1).left) == 8
    assert len(find_groups(codes[::2], 8, 1)) == 0


def test_collapsed_codes_are_never_expanded() -> None:
    """200,000 equal codes are 2e10 pairs; they must cost no more than sorting them."""
    codes = np.repeat(np.array([[0] * 8, [255] * 8, [1] + [0] * 7], np.uint8), 200_000, axis=0)
    tracemalloc.start()
    found = find_groups(codes, 64, 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.sizes.tolist() == [400_000, 200_000]
    assert found.n_pairs == 3 * (200_000 * 199_999 // 2) + 200_000**2
    assert peak < 200e6
    near = near_pairs(codes, 64, 3)
    assert (near.left.tolist(), near.right.tolist(), near.distances.tolist()) == (
        [0], [400_000], [1],
    )  # fmt: skip
    assert list(itertools.islice(near.rows(), 2)) == [(0, 1, 0), (0, 2, 0)]


def test_twenty_thousand_codes_against_faiss() -> None:
    import faiss

    codes = alike(5, 20_000, 64, 0.03)
    index = faiss.IndexBinaryFlat(64)
    index.add(codes)
    limits, distances, ids = index.range_search(codes, 4)  # faiss's radius is exclusive
    rows = np.repeat(np.arange(len(codes)), np.diff(limits.astype(np.int64)))
    upper = rows < ids
    expected = sorted(zip(rows[upper], ids[upper], distances[upper].astype(int), strict=True))
    assert len(expected) > 10_000
    assert sorted(near_pairs(codes, 64, 3).rows()) == expected
    assert find_groups(codes, 64, 3).n_pairs == len(expected)


def test_a_plan_for_many_codes_compares_few_pairs() -> None:
    words = as_words(np.random.default_rng(0).integers(0, 256, (200_000, 8), dtype=np.uint8))
    chosen = plan.make_plan(words, 64, 3)
    assert chosen.n_blocks > 3
    assert chosen.expected_pairs < 100 * len(words)
    compared = sum(
        len(left) for key in chosen.keys for left, _ in join._expand(join._runs(words, key.mask)[1])
    )
    assert 0.8 < compared / chosen.expected_pairs < 1.25


def test_progress_only_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join, "_BLOCK_PAIRS", 500)
    told: list[tuple[int, int]] = []
    codes = alike(3, 300, 32, 0.05)
    find_groups(codes, 32, 32, on_progress=lambda *both: told.append(both))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert len(told) > 50


def test_orders_and_labels() -> None:
    codes = np.array([[7], [0b11110000], [0], [7], [0b11110001], [1], [7]], np.uint8)
    found = find_groups(codes, 8, 1)
    assert [g.rows.tolist() for g in found] == [[0, 3, 6], [1, 4], [2, 5]]
    assert found.reaches.tolist() == [0, 1, 1]
    assert found.order("largest").tolist() == [0, 1, 2]
    assert found.order("tightest").tolist() == [0, 1, 2]
    assert found.labels().tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert found.n_spare == 4
    assert found[-1].rows.tolist() == [2, 5]
    with pytest.raises(IndexError):
        found[3]
    with pytest.raises(InvalidInputError, match="largest"):
        found.order("best")  # type: ignore[arg-type]


def test_bad_input() -> None:
    codes = np.zeros((2, 8), np.uint8)
    for radius in (-1, 1.5, True):
        with pytest.raises(InvalidInputError, match="radius"):
            find_groups(codes, 64, radius)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="bytes wide"):
        near_pairs(codes, 32, 1)


def test_no_codes_no_groups() -> None:
    empty = find_groups(np.empty((0, 8), np.uint8), 64, 2)
    assert (len(empty), empty.n_pairs, empty.n_spare, empty.labels().tolist()) == (0, 0, 0, [])
    assert list(near_pairs(np.empty((0, 8), np.uint8), 64, 2).rows()) == []


def test_doctests() -> None:
    for module in (pairs, groups):
        assert doctest.testmod(module).failed == 0
