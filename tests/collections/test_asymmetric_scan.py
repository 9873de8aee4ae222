"""The shortlist of an approximate scan, made exact: the result is that of scoring every code."""

from __future__ import annotations

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2q.codes import code_width, pack, unpack_signs
from h2q.collections.embedded import scans
from h2q.collections.embedded.scans import ProvenScan
from h2q.collections.embedded.table import CodeTable
from h2q.ranks import Queries
from h2q.ranks.fast_scan import FastScan
from h2q.ranks.sign_scores import byte_tables, scores_of_all, scores_of_each
from h2q.ranks.signs import SignScorer
from tests.collections.brute_collection import exact_rows


class AsymmetricScan(ProvenScan):
    """The scan of a rank, of the table that is current."""

    def __init__(self, table: CodeTable) -> None:
        super().__init__(SignScorer())
        self.table = table

    def nearest(self, rows, k):
        return super().nearest(self.table, Queries(pack(rows), rows), k)


def table_of(codes: np.ndarray) -> CodeTable:
    empty = CodeTable(codes.shape[1])
    return empty.with_added(np.arange(len(codes), dtype=np.int64), codes, range(len(codes)))


def check_exact(table: CodeTable, rows: np.ndarray, n_bits: int, k: int) -> None:
    """Against a full scan in float64; `rows` are such that its sums are exact."""
    scores = rows.astype(float) @ unpack_signs(table.codes, n_bits).T.astype(float)
    scores[:, ~table.alive] = -np.inf
    for query, hits in enumerate(AsymmetricScan(table).nearest(rows, k)):
        order = np.argsort(-scores[query], kind="stable")[: min(k, len(table))]
        assert np.array_equal(hits.positions, order)
        assert np.array_equal(hits.values, scores[query][order].astype(np.float32))


@pytest.mark.parametrize("n_bits", [8, 12, 16, 48, 64, 100, 128, 512])
def test_exact_at_the_size_of_a_fast_scan(n_bits):
    rng = np.random.default_rng(n_bits)
    codes = pack(rng.integers(0, 2, (30_000, n_bits)))
    table = table_of(codes)
    table = table.without(rng.choice(30_000, 3000, replace=False))
    assert table.dead == 3000
    for k in (1, 10, 200):
        check_exact(table, exact_rows(rng, 20, n_bits), n_bits, k)


def test_the_fast_scan_answers_nearly_all_queries_itself(monkeypatch):
    """A check of the bound: too loose a one would fall back to scoring every code."""
    rng = np.random.default_rng(0)
    table = table_of(rng.integers(0, 256, (100_000, 8), dtype=np.uint8))
    scan = AsymmetricScan(table)
    rows = rng.standard_normal((200, 64)).astype(np.float32)
    scan.nearest(rows[:1], 10)
    full = []
    original = scans._Search._scored_from
    monkeypatch.setattr(
        scans._Search,
        "_scored_from",
        lambda self, tables, start: full.append(start == 0) or original(self, tables, start),
    )
    scan.nearest(rows, 10)
    assert not any(full)
    scan.nearest(rows[:1], 90_000)
    assert any(full)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 130),
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 5, 64]),
    st.sampled_from(["normal", "signs", "one large", "tiny", "clustered"]),
)
def test_exact_for_any_query(n_bits, seed, k, kind):
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (6000, n_bits))
    rows = exact_rows(rng, 3, n_bits)
    if kind == "signs":  # many ties
        rows = np.where(rows > 0, 1, -1).astype(np.float32)
    elif kind == "one large":
        rows[:, 0] *= 2.0**12
    elif kind == "tiny":
        rows *= np.float32(2.0**-100)
    elif kind == "clustered":  # many equal codes
        bits = bits[rng.integers(0, 5, 6000)]
    table = table_of(pack(bits))
    table = table.without(rng.integers(0, 6000, 500))
    check_exact(table, rows, n_bits, k)


@pytest.mark.parametrize("n_bits", [8, 64, 100, 256, 1024])
def test_nothing_left_out_exceeds_the_bound(n_bits):
    """The error bound of the tables holds for each scan, and is not far too wide."""
    rng = np.random.default_rng(n_bits)
    codes = pack(rng.integers(0, 2, (5000, n_bits)))
    scan = FastScan(codes)
    rows = rng.standard_normal((50, n_bits)).astype(np.float32)
    rows[10:20] *= rng.exponential(3.0, (10, n_bits)).astype(np.float32)
    scores = scores_of_all(byte_tables(rows, code_width(n_bits)), codes)
    for shortlist in (1, 50, 1000):
        positions, bounds = scan.search(rows, shortlist)
        outside = scores.copy()
        np.put_along_axis(outside, positions, -np.inf, axis=1)
        assert (outside.max(axis=1) <= bounds).all()
        within_reach = np.take_along_axis(scores, positions, axis=1).min(axis=1)
        assert (bounds - within_reach < 0.5 * np.abs(rows).sum(axis=1)).all()


def test_scores_do_not_depend_on_the_batch():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((40, 100)).astype(np.float32)
    codes = pack(rng.integers(0, 2, (500, 100)))
    together = scores_of_all(byte_tables(rows, 13), codes)
    alone = np.concatenate([scores_of_all(byte_tables(row[None], 13), codes) for row in rows])
    each = scores_of_each(byte_tables(rows, 13), np.repeat(codes[None], 40, axis=0))
    assert np.array_equal(together, alone)
    assert np.array_equal(together, each)
    assert np.allclose(together, rows @ unpack_signs(codes, 100).T, atol=1e-4)


def test_follows_a_table_as_it_grows_and_shrinks(monkeypatch):
    monkeypatch.setattr(scans, "_LEAST_SCANNED", 100)
    rng = np.random.default_rng(0)
    table = CodeTable(4)
    first = table.lineage
    scan = AsymmetricScan(table)
    rows = exact_rows(rng, 4, 32)
    last = 0
    for _ in range(60):
        n = int(rng.integers(1, 120))
        rows_added = np.arange(last, last + n)
        codes = rng.integers(0, 256, (n, 4), dtype=np.uint8)
        table = scan.table = table.with_added(rows_added, codes, rows_added.tolist())
        last += n
        table = scan.table = table.without(rng.integers(0, last, int(rng.integers(0, 100))))
        scores = rows.astype(float) @ unpack_signs(table.codes, 32).T.astype(float)
        scores[:, ~table.alive] = -np.inf
        for query, hits in enumerate(scan.nearest(rows, 10)):
            order = np.argsort(-scores[query], kind="stable")[: min(10, len(table))]
            assert np.array_equal(hits.positions, order)
    assert table.lineage is not first


@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_is_the_same_in_any_number_of_threads(threads):
    rng = np.random.default_rng(0)
    table = table_of(rng.integers(0, 256, (20_000, 8), dtype=np.uint8))
    rows = rng.standard_normal((100, 64)).astype(np.float32)
    before = faiss.omp_get_max_threads()
    try:
        faiss.omp_set_num_threads(threads)
        batch = AsymmetricScan(table).nearest(rows, 10)
        assert faiss.omp_get_max_threads() == threads
    finally:
        faiss.omp_set_num_threads(before)
    for row, hits in zip(rows, batch, strict=True):
        (alone,) = AsymmetricScan(table).nearest(row[None], 10)
        assert np.array_equal(hits.positions, alone.positions)
        assert np.array_equal(hits.values, alone.values)


@pytest.mark.parametrize("n_bits", [16, 64, 100])
@pytest.mark.parametrize("k", [1, 10, 3000, 60_000])
@pytest.mark.parametrize("distinct", [300, 8000])
def test_codes_that_repeat_are_scored_once_each(n_bits, k, distinct, monkeypatch):
    rng = np.random.default_rng(n_bits)
    few = pack(rng.integers(0, 2, (distinct, n_bits)))
    table = table_of(few[rng.integers(0, distinct, 40_000)])
    table = table.without(rng.choice(40_000, 2000, replace=False))
    rows = exact_rows(rng, 6, n_bits)
    rows[0] = 1  # many distinct codes tie, too
    scan = AsymmetricScan(table)
    scan.nearest(rows, k)
    # Added after the scan was built, and too few to build it anew.
    table = scan.table = table.with_added(
        np.arange(40_000, 40_100), few[:100], range(40_000, 40_100)
    )
    whole = []
    original = scans._Search._scored_from
    monkeypatch.setattr(
        scans._Search,
        "_scored_from",
        lambda self, tables, start: whole.append(start == 0) or original(self, tables, start),
    )
    scores = rows.astype(float) @ unpack_signs(table.codes, n_bits).T.astype(float)
    scores[:, ~table.alive] = -np.inf
    for query, hits in enumerate(scan.nearest(rows, k)):
        order = np.argsort(-scores[query], kind="stable")[: min(k, len(table))]
        assert np.array_equal(hits.positions, order)
        assert np.array_equal(hits.values, scores[query][order].astype(np.float32))
    assert not any(whole), "every code was scored, though few are distinct"


def test_codes_removed_whole_are_passed_over():
    rng = np.random.default_rng(0)
    few = pack(rng.integers(0, 2, (50, 16)))
    which = np.repeat(np.arange(50), 200)
    table = table_of(few[which])
    scan = AsymmetricScan(table)
    rows = exact_rows(rng, 5, 16)
    best = scan.nearest(rows, 1)[0].positions[0]
    table = scan.table = table.without(np.flatnonzero(which == which[best]))
    assert table.dead == 200
    check_exact(table, rows, 16, 300)
    assert which[scan.nearest(rows, 1)[0].positions[0]] != which[best]
