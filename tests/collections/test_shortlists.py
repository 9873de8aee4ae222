"""Shortlists of servers are ordered as a scan of all would order."""

from __future__ import annotations

import numpy as np
import pytest

from h2q.codes import pack
from h2q.collections.inputs import as_queries
from h2q.collections.shortlists import Shortlist, ranked, shortlist_size
from h2q.errors import InvalidInputError
from h2q.ranks import rank_named
from h2q.ranks.records import encode_records
from tests.collections.brute_collection import DictModel, exact_rows

N_BITS = 20


def shuffled(rows: np.ndarray, seed: int) -> Shortlist:
    """All items as a server may hand them over: in no order."""
    order = np.random.default_rng(seed).permutation(len(rows))
    return Shortlist(
        [f"item {i}" for i in order],
        pack(rows)[order],
        encode_records(rows, "int8")[order],
        1000 + 7 * order,
    )


@pytest.mark.parametrize("rank", ["hamming", "asymmetric"])
def test_order_and_ties_do_not_depend_on_the_order_found(rank):
    rng = np.random.default_rng(0)
    rows = exact_rows(rng, 30, N_BITS)[rng.integers(0, 30, 200)]  # with many ties
    model = DictModel(N_BITS)
    model.add([f"item {i}" for i in range(200)], pack(rows))
    asked = exact_rows(rng, 5, N_BITS)
    queries = as_queries(asked, N_BITS, None)
    found = ranked(
        rank_named(rank),
        queries,
        (shuffled(rows, i) for i in range(5)),
        keep="int8",
        n_bits=N_BITS,
        k=50,
    )
    for i, row in enumerate(asked):
        if rank == "hamming":
            ids, distances = model.nearest(pack(row[None])[0], 50)
            assert (found.ids[i], found.distances[i].tolist()) == (ids, distances)
        else:
            ids, scores = model.asymmetric(row, 50)
            assert found.scores is not None
            assert (found.ids[i], found.scores[i].tolist()) == (ids, scores)
    assert (found.scores is None) is (rank == "hamming")


def test_a_shortlist_may_be_shorter_than_k_or_empty():
    rows = exact_rows(np.random.default_rng(1), 3, N_BITS)
    queries = as_queries(rows[:2], N_BITS, None)
    none = Shortlist([], pack(rows)[:0], encode_records(rows, "int8")[:0], np.empty(0, np.int64))
    for rank in ("hamming", "asymmetric", "calibrated", "embedding", "cosine"):
        found = ranked(
            rank_named(rank), queries, [shuffled(rows, 0), none], keep="int8", n_bits=N_BITS, k=10
        )
        assert [len(ids) for ids in found.ids] == [len(d) for d in found.distances] == [3, 0]
        assert found.scores is None or [len(scores) for scores in found.scores] == [3, 0]


def test_sizes():
    assert shortlist_size(rank_named("hamming"), 7, None) == 7
    assert shortlist_size(rank_named("asymmetric"), 7, None) == 1000
    assert shortlist_size(rank_named("asymmetric"), 200, None) == 2000
    assert shortlist_size(rank_named("asymmetric"), 200, 50) == 10_000
    with pytest.raises(InvalidInputError, match="oversample"):
        shortlist_size(rank_named("hamming"), 7, 0)
    names = ("hamming", "asymmetric", "decoded", "cosine")
    assert [rank_named(name).needs_records for name in names] == [False, False, False, True]
