"""Statistics of codes with known answers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from h2q.codes import pack
from h2q.evaluation import code_statistics


def test_all_codes_once_are_perfect():
    bits = np.array(list(itertools.product([-1.0, 1.0], repeat=5)))
    s = code_statistics(bits)
    assert (s.n_codes, s.n_bits, s.distinct, s.constant_bits) == (32, 5, 32, 0)
    assert s.imbalance == s.correlation == s.max_correlation == s.collision_rate == 0
    assert s.bit_entropy == pytest.approx(1)
    assert s.code_entropy == pytest.approx(5)


def test_equal_and_constant_bits_show():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((400, 3))
    s = code_statistics(np.c_[z, -z[:, 0], np.ones(400)])
    assert s.constant_bits == 1
    assert s.max_correlation == pytest.approx(1)
    assert s.distinct == 8
    assert 0.2 < s.imbalance < 0.3  # one of five bits is constant
    assert s.bit_entropy == pytest.approx(0.8, abs=0.01)
    assert s.code_entropy == pytest.approx(3, abs=0.05)
    assert s.collision_rate == pytest.approx(1 / 8, abs=0.01)


def test_correlation_is_the_pearson_correlation_of_the_bits():
    rng = np.random.default_rng(1)
    z = rng.standard_normal((20_000, 12)) @ rng.standard_normal((12, 12))
    corr = np.abs(np.corrcoef((z > 0).T))[np.triu_indices(12, 1)]
    s = code_statistics(z)
    assert s.correlation == pytest.approx(corr.mean(), rel=1e-9)
    assert s.max_correlation == pytest.approx(corr.max(), rel=1e-9)
    assert code_statistics(pack(z), n_bits=12) == s


def test_one_constant_code():
    s = code_statistics(np.ones((3, 4)))
    assert s.distinct == 1
    assert s.constant_bits == 4
    assert np.isnan(s.correlation)
    assert s.code_entropy == 0
    assert s.collision_rate == 1
    assert set(s.to_dict()) >= {"distinct", "imbalance", "code_entropy"}
