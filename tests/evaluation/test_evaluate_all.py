"""`evaluate` gives in one pass what the single functions give, and its numbers are sane."""

from __future__ import annotations

import json

import numpy as np
import pytest

from h2q.codes import pack
from h2q.errors import InvalidInputError
from h2q.evaluation import (
    RANKINGS,
    average_precision,
    evaluate,
    mean_average_precision,
    precision_at_k,
    precision_within_radius,
    recall_at_k,
)
from tests.evaluation.brute import ap


@pytest.fixture
def data():
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 5, 260)
    z = rng.standard_normal((5, 16))[labels] + rng.standard_normal((260, 16))
    return z[:40], z[40:], labels[:40], labels[40:]


@pytest.mark.parametrize("normalisation", ["retrieved", "relevant", "achievable"])
def test_evaluate_equals_the_single_functions(data, normalisation):
    result = evaluate(*data, k=[50, 10, None], radii=(0, 2, 99), normalisation=normalisation)
    for ranking in RANKINGS:
        for k in (50, 10):
            got = result[ranking]
            same = {"rank": ranking, "k": k}
            want = mean_average_precision(*data, **same, normalisation=normalisation)
            assert got[f"mAP@{k}"] == pytest.approx(want, rel=1e-12)
            assert got[f"precision@{k}"] == pytest.approx(precision_at_k(*data, **same))
            assert got[f"recall@{k}"] == pytest.approx(recall_at_k(*data, **same))
        everything = mean_average_precision(*data, rank=ranking, normalisation=normalisation)
        assert got["mAP"] == pytest.approx(everything, rel=1e-12)
        per_query = average_precision(*data, rank=ranking, k=50, normalisation=normalisation)
        np.testing.assert_allclose(result.average_precision[ranking], per_query, rtol=1e-12)
    assert set(result.lookup) == {
        f"{metric}@r<={r}" for metric in ("precision", "recall", "mAP") for r in (0, 2)
    }
    assert result.lookup["precision@r<=2"] == pytest.approx(precision_within_radius(*data))
    within = mean_average_precision(*data, radius=2, normalisation=normalisation)
    assert result.lookup["mAP@r<=2"] == pytest.approx(within, rel=1e-12)


def test_only_what_the_inputs_allow_is_ranked(data):
    q, d, ql, dl = data
    codes = evaluate(pack(q), pack(d), ql, dl, n_bits=16)
    assert list(codes.rankings) == ["hamming"]
    mixed = evaluate(q, pack(d), ql, dl)
    assert list(mixed.rankings) == ["hamming", "asymmetric"]
    assert codes["hamming"] == mixed["hamming"] == evaluate(*data)["hamming"]


def test_queries_without_relevant_items_are_counted(data):
    q, d, ql, dl = data
    ql = ql.copy()
    ql[:10] = 77
    zero = evaluate(q, d, ql, dl)
    skip = evaluate(q, d, ql, dl, without_relevant="skip")
    assert zero.queries_without_relevant == skip.queries_without_relevant == 10
    for ranking in RANKINGS:
        assert zero[ranking]["mAP"] == pytest.approx(skip[ranking]["mAP"] * 30 / 40)
    alone = evaluate(q[:10], d, ql[:10], dl, without_relevant="skip")
    assert np.isnan(alone["hamming"]["mAP"])
    assert evaluate(q[:10], d, ql[:10], dl)["hamming"]["mAP"] == 0


def test_report_travels_as_json_and_rows(data):
    seen = []
    result = evaluate(*data, k=20, on_progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (40, 40)
    assert json.loads(json.dumps(result.to_dict()))["rankings"] == result.rankings
    rows = result.rows()
    assert {row["ranking"] for row in rows} == {*RANKINGS, "lookup"}
    assert all(0 <= row["value"] <= 1 for row in rows)


def test_perfect_codes_score_one():
    labels = np.arange(8).repeat(10)
    z = np.where(np.random.default_rng(0).random((8, 32)) < 0.5, -1.0, 1.0)[labels]
    result = evaluate(z, z, labels, labels, k=10)
    for ranking in RANKINGS:
        assert result[ranking] == pytest.approx({"mAP@10": 1, "precision@10": 1, "recall@10": 1})
    assert result.lookup["mAP@r<=0"] == pytest.approx(1)


def test_cutoffs_may_be_numpy_integers(data):
    result = evaluate(*data, k=np.int64(20))
    assert result["hamming"] == evaluate(*data, k=20)["hamming"]
    assert json.loads(json.dumps(result.to_dict()))["settings"]["k"] == [20]


def test_empty_list_of_cutoffs_is_refused(data):
    with pytest.raises(InvalidInputError, match="empty list"):
        evaluate(*data, k=[])


def test_one_text_is_no_list_of_ranks(data):
    with pytest.raises(InvalidInputError, match=r"ranks is the text 'hamming'.*\('hamming',\)"):
        evaluate(*data, ranks="hamming")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["cifar10", "caltech101"])
def test_real_embeddings_rank_in_the_known_order(shared, name):
    with np.load(shared / "data" / f"embeddings_{name}.npz") as file:
        z, labels, split = file["cel_32"].astype(np.float32), file["labels"], file["split"]
    query, database = np.flatnonzero(split == "query")[:300], split == "database"
    labels = labels.astype(np.int64)
    result = evaluate(z[query], z[database], labels[query], labels[database], k=1000)
    scores = {ranking: result[ranking]["mAP@1000"] for ranking in RANKINGS}
    # On embeddings learned to separate, the real rows know more than the codes.
    assert 0.3 < scores["hamming"] < scores["embedding"] < scores["cosine"] < 0.9
    assert scores["hamming"] < scores["asymmetric"] < scores["cosine"]


@pytest.mark.shared
def test_real_multi_label_features_against_the_definition(shared):
    with np.load(shared / "data" / "features_corel5k.npz") as file:
        z, split = file["features"].astype(np.float64), file["split"]
        labels = np.unpackbits(file["labels"], axis=1, count=len(file["words"]))
    query, database = np.flatnonzero(split == "query")[:40], np.flatnonzero(split == "database")
    got = average_precision(
        z[query], z[database], labels[query], labels[database], rank="cosine", k=100
    )
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    for value, i in zip(got, query, strict=True):
        order = np.argsort(-(unit[database] @ unit[i]))
        relevant = [bool((labels[j] & labels[i]).any()) for j in database[order]]
        assert value == pytest.approx(ap(relevant, 100, "retrieved"), rel=1e-9)
