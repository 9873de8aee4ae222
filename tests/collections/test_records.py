"""Records: what is kept of rows, and the ranking of a shortlist by it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2q.codes import pack
from h2q.collections.shortlists import rerank, shortlist_length
from h2q.errors import InvalidInputError
from h2q.ranks import Candidates, Queries, rank_named
from h2q.ranks.calibrated import calibrated_scores
from h2q.ranks.cosine import cosines
from h2q.ranks.keeping import KEEPS, check_keep
from h2q.ranks.records import (
    decode_rows,
    encode_records,
    record_width,
    scales,
)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("keep", KEEPS)
@pytest.mark.parametrize("n_bits", [1, 7, 64])
def test_width_is_what_is_written(keep, n_bits):
    rows = np.random.default_rng(0).standard_normal((5, n_bits)).astype(np.float32)
    records = encode_records(rows, keep)
    assert records.dtype == np.uint8
    assert records.shape == (5, record_width(keep, n_bits))
    assert encode_records(rows[:0], keep).shape == (0, record_width(keep, n_bits))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 100), st.integers(0, 2**32 - 1), st.integers(-120, 110))
def test_rows_come_back_whatever_their_length(n_bits, seed, exponent):
    rows = np.random.default_rng(seed).standard_normal((6, n_bits))
    given_rows = (rows * 2.0**exponent).astype(np.float32)
    for keep, error in (("float16", 1e-3), ("int8", 0.03)):
        back = decode_rows(encode_records(given_rows, keep), keep, n_bits)
        assert np.abs(unit(back) - unit(given_rows.astype(float))).max() < error
        c = scales(encode_records(given_rows, keep), keep, n_bits)
        assert np.allclose(c, np.abs(unit(rows)).mean(axis=1) * np.sqrt(n_bits), atol=error)
    c = scales(encode_records(given_rows, "scale"), "scale", n_bits)
    assert np.allclose(c, np.abs(unit(rows)).mean(axis=1) * np.sqrt(n_bits), atol=1e-3)
    assert (c <= 1 + 1e-3).all()


def test_one_large_entry_does_not_lose_the_row():
    rows = np.full((1, 64), 1e-3, np.float32)
    rows[0, 5] = 8.0
    back = decode_rows(encode_records(rows, "float16"), "float16", 64)
    assert np.allclose(unit(back), unit(rows.astype(float)), atol=1e-3)


def test_scale_records_hold_no_rows():
    with pytest.raises(ValueError, match="no rows"):
        decode_rows(np.zeros((1, 2), np.uint8), "scale", 8)
    with pytest.raises(InvalidInputError, match="one of codes, scale, int8, float16"):
        check_keep("float32")


def test_calibrated_score_is_the_cosine_where_the_angle_is_as_taken():
    """Build items at 60 degrees from the query as seen from their code."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        k = 24
        signs = rng.choice([-1.0, 1.0], k)
        code = signs / np.sqrt(k)
        query = unit(rng.standard_normal((1, k)) + 0.2 * signs)[0]
        side = query - (query @ code) * code
        side /= np.linalg.norm(side)
        other = rng.standard_normal(k)
        other -= (other @ code) * code + (other @ side) * side
        other /= np.linalg.norm(other)
        item = 0.99 * code + np.sqrt(1 - 0.99**2) * (0.5 * side + np.sqrt(0.75) * other)
        if not (np.sign(item) == signs).all():
            continue
        c = scales(encode_records(item[None].astype(np.float32), "scale"), "scale", k)
        row = (query * 7).astype(np.float32)
        score = calibrated_scores(row, pack(signs[None]), c)
        assert score[0] == pytest.approx(query @ item, abs=2e-3)


def test_calibrated_score_of_a_row_of_signs_is_its_asymmetric_cosine():
    rng = np.random.default_rng(1)
    signs = rng.choice([-1.0, 1.0], (40, 16)).astype(np.float32)
    query = rng.standard_normal(16).astype(np.float32)
    c = scales(encode_records(signs, "scale"), "scale", 16)
    expected = signs @ query / np.linalg.norm(query) / 4
    assert np.allclose(calibrated_scores(query, pack(signs), c), expected, atol=1e-6)


def test_a_shortlist_in_any_order_is_ranked_the_same_by_age():
    rng = np.random.default_rng(2)
    rows = np.repeat(rng.standard_normal((20, 12)), 4, axis=0).astype(np.float32)
    ages = np.arange(80)
    asked = Queries(pack(rows[:1]), rows[:1])
    shuffled = rng.permutation(80)
    records = encode_records(rows, "int8")
    for rank in ("hamming", "asymmetric", "calibrated", "embedding", "cosine"):
        spec = rank_named(rank)
        one = rerank(
            spec, asked, spec.prepared(asked), 0, Candidates(pack(rows), records, "int8", 12), k=30
        )
        other = Candidates(pack(rows)[shuffled], records[shuffled], "int8", 12)
        two = rerank(spec, asked, spec.prepared(asked), 0, other, k=30, ages=ages[shuffled])
        assert one.order.tolist() == shuffled[two.order].tolist()
        assert one.order[:4].tolist() == [0, 1, 2, 3]


def test_equal_rows_have_equal_cosines_wherever_they_stand():
    rng = np.random.default_rng(3)
    for k in (3, 17, 64, 100):
        row, query = rng.standard_normal(k), rng.standard_normal(k).astype(np.float32)
        rows = rng.standard_normal((1000, k))
        rows[[0, 3, 500, 998, 999]] = row
        assert len(set(cosines(query, rows)[[0, 3, 500, 998, 999]].tolist())) == 1


def test_length_of_a_shortlist():
    assert shortlist_length(10, None) == 1000
    assert shortlist_length(500, None) == 5000
    assert shortlist_length(500, 3) == 1500
    assert shortlist_length(500, 1) == 1000
