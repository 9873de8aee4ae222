"""Codes of more bits than 16 bits can count."""

from __future__ import annotations

import numpy as np
import pytest

from h2q import open_collection
from h2q.codes import code_width, hamming_distances
from h2q.codes.packing import MOST_BITS
from h2q.errors import InvalidInputError


def test_within_is_in_order_beyond_65_535_bits(tmp_path):
    width = 10_000  # 80,000 bits
    rng = np.random.default_rng(0)
    shares = rng.random(40)
    codes = np.where(rng.random((40, width)) < shares[:, None], 255, 0).astype(np.uint8)
    query = np.zeros((1, width), np.uint8)
    with open_collection(tmp_path / "long.h2q", n_bits=8 * width) as collection:
        collection.add(range(40), codes)
        found = collection.within(query, 8 * width)
    true = hamming_distances(query, codes)[0]
    assert true.max() > 65_535
    assert found.distances[0].tolist() == sorted(true.tolist())
    assert found.ids[0] == np.argsort(true, kind="stable").tolist()


def test_a_length_that_no_code_has_is_refused(tmp_path):
    assert code_width(MOST_BITS) == MOST_BITS // 8
    with pytest.raises(InvalidInputError, match="from 1 to 16,777,216"):
        code_width(MOST_BITS + 1)
    with pytest.raises(InvalidInputError, match="from 1 to 16,777,216"):
        open_collection(tmp_path / "c.h2q", n_bits=10**11)
    assert list(tmp_path.iterdir()) == []
