"""Ranks of the table that evaluation has no code of its own for, against brute force."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import h2q
from h2q.codes import pack, unpack_signs
from h2q.errors import InvalidInputError
from h2q.evaluation import average_precision, evaluate, mean_average_precision
from h2q.ranks import RANKS, Candidates, Queries, RankSpec, register_rank
from h2q.ranks.calibrated import calibrated_scores
from h2q.ranks.records import encode_records, scales
from tests.evaluation.brute import ap, expected


@pytest.fixture
def restored() -> Iterator[None]:
    """What a test registers is forgotten afterwards."""
    before = dict(RANKS)
    yield
    RANKS.clear()
    RANKS.update(before)


def problem(n_database: int = 50, d: int = 12, seed: int = 0):
    rng = np.random.default_rng(seed)
    centres = 2 * rng.standard_normal((3, d))
    labels = rng.integers(0, 3, 70 + n_database)
    z = (centres[labels] + 2 * rng.standard_normal((len(labels), d)) + 0.5).astype(np.float32)
    return z[:60], z[60:70], z[70:], labels[60:70], labels[70:]


def by_scores(scores: np.ndarray, ql: np.ndarray, dl: np.ndarray, k: int) -> list[float]:
    """Average precision by scores (nq, n), higher is better, nothing tied."""
    assert all(len(np.unique(row)) == len(row) for row in scores)
    return [
        ap([int(v) for v in (dl == label)[np.argsort(-row)]], k, "retrieved")
        for row, label in zip(scores, ql, strict=True)
    ]


def ones(queries: Queries, state, number: int, found: Candidates) -> np.ndarray:
    """A made-up rank: how many ones of the query the code has. Many items tie."""
    ones_of_query = np.unpackbits(queries.codes[number])[: found.n_bits]
    bits = unpack_signs(found.codes, found.n_bits) > 0
    return (bits @ ones_of_query.astype(np.float32)).astype(np.float32)


@pytest.mark.parametrize("distance_first", [False, True])
def test_a_made_up_rank_is_judged_and_its_ties_are_averaged(restored, distance_first: bool) -> None:
    register_rank(
        RankSpec("ones", "the ones of the query it has", score=ones, needs_rows=False,
                 distance_first=distance_first)
    )  # fmt: skip
    _, q, d, ql, dl = problem(n_database=8, d=5)
    got = average_precision(pack(q), pack(d), ql, dl, rank="ones", k=4, n_bits=5)
    for value, row, label in zip(got, q, ql, strict=True):
        keys = -((d > 0) & (row > 0)).sum(axis=1)
        if distance_first:
            keys = keys + 100 * ((d > 0) != (row > 0)).sum(axis=1)
        want = expected(keys, dl == label, lambda r: ap(r, 4, "retrieved"))
        assert value == pytest.approx(want, abs=1e-12)
    found = evaluate(q, d, ql, dl, k=4, ranks=["hamming", "ones"])
    assert found["ones"]["mAP@4"] == pytest.approx(got.mean(), abs=1e-12)
    assert "ones" not in evaluate(q, d, ql, dl, k=4).rankings


def test_a_rank_that_takes_the_name_of_another_is_the_one_that_is_judged(restored) -> None:
    _, q, d, ql, dl = problem(n_database=20)
    register_rank(RankSpec("asymmetric", "the ones", score=ones))
    register_rank(RankSpec("ones", "the ones", score=ones))
    both = evaluate(q, d, ql, dl, ranks=["asymmetric", "ones"])
    assert both["asymmetric"] == both["ones"]


def test_scores_sort_as_numbers_also_below_zero(restored) -> None:
    values = np.array([3.5, -0.0, 0.0, -2.5, -1.0, np.inf, -np.inf, 1e-40], dtype=np.float32)
    register_rank(
        RankSpec("given", "what is given", score=lambda q, s, i, f: values, keeps=("float16",))
    )
    rows = np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32)
    relevant = np.array([1, 0, 1, 0, 1, 0, 1, 0])
    got = average_precision(rows[:1], rows, np.array([1]), relevant, rank="given")
    want = expected(-values, relevant == 1, lambda r: ap(r, 8, "retrieved"))
    assert got[0] == pytest.approx(want, abs=1e-12)


def test_the_calibrated_rank_has_what_a_collection_keeps() -> None:
    _, q, d, ql, dl = problem(d=32)
    scale = scales(encode_records(d, "scale"), "scale", 32)
    scores = np.stack([calibrated_scores(row, pack(d), scale) for row in q])
    got = average_precision(q, d, ql, dl, rank="calibrated", k=20)
    assert got == pytest.approx(by_scores(scores, ql, dl, 20), abs=1e-12)
    with pytest.raises(InvalidInputError, match="real rows, but database holds"):
        average_precision(q, pack(d), ql, dl, rank="calibrated")


def test_the_linear_rank_is_that_of_the_decoder() -> None:
    train, q, d, ql, dl = problem(d=48)
    quantizer = h2q.HouseholderQuantizer(32, random_state=0).fit(train)
    decoder = h2q.LinearDecoder(random_state=0).fit(train, quantizer.transform(train))
    codes = quantizer.transform(d)
    rows = decoder.decode(codes).astype(np.float64)
    scores = q @ rows.T * (rows**2).sum(axis=1) ** (-decoder.exponent_ / 2)
    got = average_precision(
        q, codes, ql, dl, rank="linear", k=20, decoder=decoder, quantizer=quantizer
    )
    assert got == pytest.approx(by_scores(scores, ql, dl, 20), abs=1e-12)
    found = evaluate(q, d, ql, dl, k=20, decoder=decoder, quantizer=quantizer)
    assert found["linear"]["mAP@20"] == pytest.approx(got.mean(), abs=1e-12)
    rotated = mean_average_precision(
        quantizer.rotate(q), quantizer.rotate(d), ql, dl, rank="asymmetric", k=20
    )
    assert found["asymmetric"]["mAP@20"] == pytest.approx(rotated, abs=1e-12)
    with pytest.raises(InvalidInputError, match=r"the rank 'decoded' needs decoder=.*CodeDecoder"):
        evaluate(q, d, ql, dl, ranks=["decoded"], decoder=decoder, quantizer=quantizer)


def test_the_reconstructed_rank_is_that_of_the_quantizer() -> None:
    train, q, d, ql, dl = problem(d=48)
    quantizer = h2q.LocalSearchQuantizer(32, random_state=0).fit(train)
    rows = quantizer.decode(quantizer.transform(d)).astype(np.float64)
    scores = q @ rows.T * (rows**2).sum(axis=1) ** (-quantizer.exponent_ / 2)
    found = evaluate(q, d, ql, dl, k=20, quantizer=quantizer)
    assert set(found.rankings) == {"hamming", "asymmetric", "linear", "reconstructed"}
    assert found.average_precision["reconstructed"] == pytest.approx(
        by_scores(scores, ql, dl, 20), abs=1e-12
    )
    with pytest.raises(InvalidInputError, match="does not suit a LocalSearchQuantizer"):
        evaluate(q, d, ql, dl, ranks=["calibrated"], quantizer=quantizer)
    with pytest.raises(InvalidInputError, match="needs quantizer="):
        evaluate(q, d, ql, dl, ranks=["reconstructed"])


def test_a_rank_that_gives_no_number_is_named(restored) -> None:
    _, q, d, ql, dl = problem()
    register_rank(
        RankSpec("nan", "nothing", score=lambda q, s, i, f: np.full(len(f.codes), np.nan))
    )
    with pytest.raises(InvalidInputError, match="the rank 'nan' gave"):
        evaluate(q, d, ql, dl, ranks=["nan"])


def test_whole_rows_are_compared_as_a_collection_with_the_quantizer_does() -> None:
    rng = np.random.default_rng(0)
    z = (rng.standard_normal((700, 24)) + 1).astype(np.float32)
    labels = rng.integers(0, 3, 700)
    quantizer = h2q.HouseholderQuantizer(12, random_state=0).fit(z[:500])
    assert quantizer.decoder_ is not None
    q, d, ql, dl = z[500:520], z[520:], labels[500:520], labels[520:]
    ranks = ["hamming", "cosine", "embedding", "linear"]
    found = evaluate(q, d, ql, dl, k=20, ranks=ranks, quantizer=quantizer)
    whole = [quantizer.rotate_uncentred(rows) for rows in (q, d)]
    bound = mean_average_precision(*whole, ql, dl, rank="cosine", k=20)
    assert found["cosine"]["mAP@20"] == pytest.approx(bound, abs=1e-12)
    centred = [quantizer.rotate(rows) for rows in (q, d)]
    assert found["hamming"]["mAP@20"] == mean_average_precision(*centred, ql, dl, k=20)
    assert bound != mean_average_precision(*centred, ql, dl, rank="cosine", k=20)
