"""The decoded ranking against one made by hand, and against brute force where items tie."""

from __future__ import annotations

import numpy as np
import pytest

from h2q import CodeDecoder
from h2q.codes import pack
from h2q.errors import InvalidInputError
from h2q.evaluation import average_precision, evaluate, mean_average_precision
from tests.evaluation.brute import ap, expected


def problem(n_bits=10, n_database=40, seed=0):
    rng = np.random.default_rng(seed)
    centres = 2 * rng.standard_normal((3, n_bits))
    labels = rng.integers(0, 3, 60 + n_database)
    z = (centres[labels] + rng.standard_normal((len(labels), n_bits))).astype(np.float32)
    decoder = CodeDecoder().fit(z[:50])
    return decoder, z[50:60], z[60:], labels[50:60], labels[60:]


def slow_scores(decoder, q, d):
    unit = q / np.linalg.norm(q, axis=1, keepdims=True)
    return -np.round(unit.astype(float) @ decoder.decode(pack(d)).T.astype(float), 6)


@pytest.mark.parametrize("k", [1, 10, None])
def test_orders_by_the_product_with_the_decoded_codes(k):
    decoder, q, d, ql, dl = problem(n_bits=32)
    assert len(np.unique(pack(d), axis=0)) == len(d)  # nothing ties
    got = average_precision(q, d, ql, dl, rank="decoded", k=k, decoder=decoder)
    want = [
        ap([int(v) for v in (dl == label)[np.argsort(s)]], k or len(d), "retrieved")
        for s, label in zip(slow_scores(decoder, q, d), ql, strict=True)
    ]
    np.testing.assert_allclose(got, want, rtol=1e-12)


def test_equal_codes_tie_and_are_averaged():
    decoder, q, d, ql, _ = problem(n_bits=5, n_database=3)
    d = np.repeat(d, [3, 2, 2], axis=0) * np.linspace(1, 3, 7, dtype=np.float32)[:, None]
    dl = np.array([0, 1, 0, 1, 2, 0, 2])
    got = average_precision(q, d, ql, dl, rank="decoded", k=4, decoder=decoder)
    for value, s, label in zip(got, slow_scores(decoder, q, d), ql, strict=True):
        want = expected(s, dl == label, lambda r: ap(r, 4, "retrieved"))
        assert value == pytest.approx(want, abs=1e-12)


def test_codes_alone_are_enough_on_the_database_side():
    decoder, q, d, ql, dl = problem()
    real = mean_average_precision(q, d, ql, dl, rank="decoded", decoder=decoder)
    coded = mean_average_precision(q, pack(d), ql, dl, rank="decoded", decoder=decoder)
    assert coded == real


def test_is_evaluated_with_the_others_where_there_is_a_decoder():
    decoder, q, d, ql, dl = problem()
    found = evaluate(q, d, ql, dl, k=20, decoder=decoder)
    assert set(found.rankings) == {"hamming", "asymmetric", "embedding", "cosine", "decoded"}
    alone = mean_average_precision(q, d, ql, dl, rank="decoded", k=20, decoder=decoder)
    assert found["decoded"]["mAP@20"] == alone
    assert "decoded" not in evaluate(q, d, ql, dl, k=20).rankings


def test_needs_a_decoder_and_real_queries():
    decoder, q, d, ql, dl = problem()
    with pytest.raises(InvalidInputError, match="decoder="):
        mean_average_precision(q, d, ql, dl, rank="decoded")
    with pytest.raises(InvalidInputError, match="needs real rows"):
        mean_average_precision(pack(q), pack(d), ql, dl, rank="decoded", n_bits=10, decoder=decoder)
