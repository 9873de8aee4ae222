"""The search ends where no flip helps, with numba and without, flip for flip the same."""

import itertools
import sys

import numpy as np
import pytest

from h2q.quantization import bit_search
from h2q.quantization.bit_search import search_bits, search_table


@pytest.fixture
def problem():
    """Rows (40, 10) and a map of k bits, for any k."""

    def make(k, n=40):
        rng = np.random.default_rng(k)
        rows = rng.standard_normal((n, 10)).astype(np.float32)
        weights = (rng.standard_normal((10, k)) / np.sqrt(k)).astype(np.float32)
        starts = np.copysign(np.float32(1), rng.standard_normal((n, k)).astype(np.float32))
        return rows, weights, starts

    return make


def search(rows, weights, starts, n_flips=30, shrinkage=0.0):
    signs = starts.copy()
    search_bits(signs, rows @ weights, search_table(weights.T @ weights, shrinkage), n_flips)
    return signs


def distances(rows, weights, signs):
    return np.square(rows - signs @ weights.T).sum(axis=1)


@pytest.mark.parametrize("n_flips", [0, 3, 50])
@pytest.mark.parametrize("k", [1, 7, 16, 33, 64])
def test_no_single_flip_lowers_the_distance(problem, k, n_flips):
    rows, weights, starts = problem(k)
    signs = search(rows, weights, starts, n_flips)
    found = distances(rows, weights, signs)
    assert (found <= distances(rows, weights, starts) + 1e-4).all()
    for bit in range(k):
        flipped = signs.copy()
        flipped[:, bit] *= -1
        assert (distances(rows, weights, flipped) >= found - 1e-4).all()


def test_more_flips_only_help_and_reach_the_optimum_of_few_bits(problem):
    rows, weights, starts = problem(8)
    every = np.array(list(itertools.product([-1, 1], repeat=8)), dtype=np.float32)
    best = np.square(rows[:, None] - every @ weights.T).sum(axis=2).min(axis=1)
    previous = np.full(len(rows), np.inf)
    for n_flips in (0, 5, 20, 300):
        found = distances(rows, weights, search(rows, weights, starts, n_flips))
        assert (found <= previous + 1e-4).all()
        previous = found
    np.testing.assert_allclose(previous, best, atol=1e-4)


def test_shrunk_to_nothing_each_bit_is_its_own_sign(problem):
    rows, weights, starts = problem(12)
    signs = search(rows, weights, starts, shrinkage=1.0)
    np.testing.assert_array_equal(signs, np.copysign(1, rows @ weights))


@pytest.mark.parametrize("n_flips", [0, 1, 80])
@pytest.mark.parametrize("k", [1, 3, 7, 32, 70])
def test_numpy_and_numba_agree_flip_for_flip(problem, k, n_flips, monkeypatch):
    pytest.importorskip("numba")
    rows, weights, starts = problem(k, n=300)
    rows[:20] = 0
    weights[:, k // 2] = 0
    compiled = search(rows, weights, starts, n_flips)
    monkeypatch.setattr(bit_search.importlib.util, "find_spec", lambda name: None)
    np.testing.assert_array_equal(search(rows, weights, starts, n_flips), compiled)


def test_many_rows_without_numba_say_so_once(problem, monkeypatch):
    monkeypatch.setattr(bit_search.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(bit_search, "_MANY_ROWS", 40)
    monkeypatch.setattr(bit_search, "_warned", False)
    with pytest.warns(UserWarning, match=r"h2q\[search\]"):
        search(*problem(8))


def test_equal_rows_get_equal_bits_wherever_they_stand(problem):
    rows, weights, starts = problem(24)
    rows[7], starts[7] = rows[31], starts[31]
    signs = search(rows, weights, starts)
    np.testing.assert_array_equal(signs[7], signs[31])


def test_numba_is_not_imported_before_it_is_needed():
    import subprocess

    program = "import sys, h2q.quantization; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
