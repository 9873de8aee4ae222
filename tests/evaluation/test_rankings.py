"""Each ranking against a slow ranking made from its definition."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from h2q.codes import hamming_distances, pack
from h2q.errors import InvalidInputError
from h2q.evaluation import (
    RANKINGS,
    _backend,
    average_precision,
    evaluate,
    mean_average_precision,
    precision_recall_curve,
)
from tests.evaluation.brute import ap, expected


def data(n_query=6, n_database=80, n_bits=12, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n_classes, n_bits))
    labels = rng.integers(0, n_classes, n_query + n_database)
    z = (centres[labels] + rng.standard_normal((len(labels), n_bits))).astype(np.float32)
    return z[:n_query], z[n_query:], labels[:n_query], labels[n_query:]


def unit(z):
    z = z.astype(np.float64)
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def slow_scores(ranking, q, d):
    """Score matrix (lower is better) by the definition of each ranking."""
    distance = hamming_distances(pack(q), pack(d)).astype(np.float64)
    if ranking == "hamming":
        return distance
    if ranking == "asymmetric":
        return -(unit(q) @ np.where(d > 0, 1.0, -1.0).T)
    euclid = np.linalg.norm(unit(q)[:, None] - unit(d)[None], axis=2)
    return euclid if ranking == "cosine" else distance * 10 + euclid


@pytest.mark.parametrize("k", [1, 7, 30, None, 1000])
@pytest.mark.parametrize("ranking", ["asymmetric", "embedding", "cosine"])
def test_real_rankings_follow_their_definition(ranking, k):
    q, d, ql, dl = data(n_bits=48)  # 48 bits: no two codes are equal here
    assert len(np.unique(pack(d), axis=0)) == len(d)
    scores = slow_scores(ranking, q, d)
    got = average_precision(q, d, ql, dl, rank=ranking, k=k)
    want = [
        ap([int(v) for v in (dl == label)[np.argsort(s)]], k or len(d), "retrieved")
        for s, label in zip(scores, ql, strict=True)
    ]
    np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("ranking", ["asymmetric", "cosine"])
def test_equal_items_tie_exactly_and_are_averaged(ranking):
    q, d, ql, _ = data(n_query=3, n_database=4, n_bits=5)
    d = np.repeat(d, [3, 1, 2, 2], axis=0)
    dl = np.array([0, 1, 0, 1, 1, 0, 2, 0])
    scores = np.round(slow_scores(ranking, q, d), 9)
    for k in (2, 4, 8):
        got = average_precision(q, d, ql, dl, rank=ranking, k=k)
        for value, s, label in zip(got, scores, ql, strict=True):
            want = expected(s, dl == label, lambda r, k=k: ap(r, k, "retrieved"))
            assert value == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("ranking", ["hamming", "asymmetric"])
def test_item_order_does_not_matter_even_with_ties(ranking):
    q, d, ql, dl = data(n_bits=4)
    order = np.random.default_rng(1).permutation(len(d))
    for k in (5, 40):
        a = average_precision(q, d, ql, dl, rank=ranking, k=k)
        b = average_precision(q, d[order], ql, dl[order], rank=ranking, k=k)
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_textbook_map_agrees_with_scikit_learn():
    q, d, ql, dl = data(n_bits=48)
    for ranking in ("asymmetric", "embedding", "cosine"):
        scores = slow_scores(ranking, q, d)
        want = [
            average_precision_score(dl == label, -s) for s, label in zip(scores, ql, strict=True)
        ]
        got = average_precision(q, d, ql, dl, rank=ranking, normalisation="relevant")
        np.testing.assert_allclose(got, want, rtol=1e-9)


@pytest.mark.slow  # for the import of torchmetrics
def test_map_and_precision_agree_with_torchmetrics():
    torch = pytest.importorskip("torch")
    retrieval = pytest.importorskip("torchmetrics.retrieval")
    q, d, ql, dl = data(n_bits=48)
    # Above zero: torchmetrics counts items of a score of zero or less as not retrieved.
    similarity = torch.as_tensor(3 - slow_scores("cosine", q, d))
    target = torch.as_tensor(ql[:, None] == dl[None, :])
    indexes = torch.arange(len(q))[:, None].expand_as(target)
    for k in (5, 20, 80):
        args = (similarity.flatten(), target.flatten(), indexes.flatten())
        curve = precision_recall_curve(q, d, ql, dl, rank="cosine", at=[k])
        precision = retrieval.RetrievalPrecision(top_k=k)(args[0], args[1], indexes=args[2])
        recall = retrieval.RetrievalRecall(top_k=k)(args[0], args[1], indexes=args[2])
        assert curve.precision[0] == pytest.approx(float(precision), abs=1e-6)
        assert curve.recall[0] == pytest.approx(float(recall), abs=1e-6)
    got = mean_average_precision(q, d, ql, dl, rank="cosine", normalisation="relevant")
    whole = retrieval.RetrievalMAP()(similarity.flatten(), target.flatten(), indexes=args[2])
    assert got == pytest.approx(float(whole), abs=1e-6)


def test_packed_codes_give_what_real_rows_give():
    q, d, ql, dl = data()
    for k in (None, 10):
        real = mean_average_precision(q, d, ql, dl, k=k)
        codes = mean_average_precision(pack(q), pack(d), ql, dl, k=k, n_bits=12)
        assert codes == real
        asymmetric = [
            mean_average_precision(q, side, ql, dl, k=k, rank="asymmetric") for side in (d, pack(d))
        ]
        assert asymmetric[0] == asymmetric[1]


def test_blocks_do_not_change_anything(monkeypatch):
    q, d, ql, dl = data(n_query=9)
    whole = evaluate(q, d, ql, dl, k=[20, None])
    monkeypatch.setattr(_backend, "BLOCK_PAIRS", 2 * len(d))
    blocks = evaluate(q, d, ql, dl, k=[20, None])
    for ranking in RANKINGS:
        for metric, value in whole[ranking].items():
            assert blocks[ranking][metric] == pytest.approx(value, rel=1e-12)


def test_wide_embeddings_are_converted_by_chunks(monkeypatch):
    from h2q.evaluation import _sides

    q, d, ql, dl = data()
    whole = mean_average_precision(q, d, ql, dl, rank="cosine")
    monkeypatch.setattr(_sides, "_KEEP", 0)
    monkeypatch.setattr(_sides, "_CHUNK", 7)
    assert mean_average_precision(q, d, ql, dl, rank="cosine") == pytest.approx(whole)


def test_torch_input_gives_the_same():
    torch = pytest.importorskip("torch")
    q, d, ql, dl = data()
    tensors = [torch.as_tensor(v) for v in (q, d, ql, dl)]
    tensors[0].requires_grad_()
    for ranking in RANKINGS:
        want = mean_average_precision(q, d, ql, dl, rank=ranking, k=9)
        assert mean_average_precision(*tensors, rank=ranking, k=9) == want
    half = tensors[0].detach().bfloat16()
    assert 0 < mean_average_precision(half, *tensors[1:]) <= 1


@pytest.mark.parametrize("n_classes", [5, 70])
def test_multi_hot_labels_share_any_label(n_classes):
    rng = np.random.default_rng(2)
    q, d, _, _ = data(n_bits=8)
    ql = rng.random((len(q), n_classes)) < 2 / n_classes
    dl = rng.random((len(d), n_classes)) < 2 / n_classes
    shared = (ql.astype(int) @ dl.astype(int).T) > 0
    distances = slow_scores("hamming", q, d)
    value = average_precision(q, d, ql.astype(np.uint8), dl.astype(np.float32), k=10)
    one_by_one = [
        average_precision(q[[i]], d, np.array([1]), shared[i].astype(int), k=10)[0]
        for i in range(len(q))
    ]
    assert distances.shape == shared.shape
    np.testing.assert_allclose(value, one_by_one, rtol=1e-12)


def test_one_hot_and_classes_agree():
    q, d, ql, dl = data()
    hot = np.eye(3, dtype=np.uint8)
    assert mean_average_precision(q, d, ql, dl) == mean_average_precision(q, d, hot[ql], hot[dl])


def test_zero_rows_and_one_item_are_harmless():
    q, d, ql, dl = data()
    q[0] = 0
    d[0] = 0
    for ranking in RANKINGS:
        assert 0 <= mean_average_precision(q, d, ql, dl, rank=ranking) <= 1
        one = mean_average_precision(q, d[1:2], ql, dl[1:2], rank=ranking)
        assert one == pytest.approx(np.mean(ql == dl[1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"query": np.full((6, 12), np.nan)}, "query has rows with NaN"),
        (lambda a: a | {"database": a["database"][:, :10]}, "10 columns, expected 12"),
        (lambda a: a | {"database": a["database"][:0]}, "shape"),
        (lambda a: a | {"query_labels": a["query_labels"][:-1]}, "6 rows but 5 labels"),
        (lambda a: a | {"query_labels": a["query_labels"] - 5}, "must be 0 or more"),
        (lambda a: a | {"query_labels": a["query_labels"] / 3}, "expected integer classes"),
        (lambda a: a | {"query_labels": np.eye(3)[a["query_labels"]]}, "do not match"),
        (lambda a: a | {"k": 0}, "k must be a whole number of at least 1, got 0"),
        (lambda a: a | {"k": 3, "radius": 2}, "not both"),
        (lambda a: a | {"rank": "euclid"}, "rank must be one of"),
        (lambda a: a | {"normalisation": "none"}, "unknown normalisation"),
        (lambda a: a | {"without_relevant": "drop"}, "without_relevant"),
        (lambda a: a | {"query": pack(a["query"]), "rank": "asymmetric"}, "needs real rows"),
        (lambda a: a | {"database": pack(a["database"]), "rank": "cosine"}, "database holds"),
        (lambda a: a | {"query": pack(a["query"]), "database": pack(a["database"])}, "n_bits"),
    ],
)
def test_bad_input(change, message):
    q, d, ql, dl = data()
    arguments = {"query": q, "database": d, "query_labels": ql, "database_labels": dl}
    with pytest.raises(InvalidInputError, match=message):
        mean_average_precision(**change(arguments))


def test_class_numbers_in_a_column_are_classes() -> None:
    rng = np.random.default_rng(0)
    query, database = rng.standard_normal((20, 16)), rng.standard_normal((200, 16))
    a, b = rng.integers(0, 2, 20), rng.integers(0, 2, 200)
    want = mean_average_precision(query, database, a, b)
    assert mean_average_precision(query, database, a[:, None], b[:, None]) == want
    with pytest.raises(InvalidInputError, match="classes must be 0 or more"):
        mean_average_precision(query, database, a[:, None] - 1, b[:, None])
