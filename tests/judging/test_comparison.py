from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import h2q
from h2q.errors import InvalidInputError
from h2q.evaluation import mean_average_precision
from h2q.judging.quantizers import Split, compare_quantizers
from h2q.quantization import make_quantizer
from h2q.quantization.decoders import fit_decoder


@pytest.fixture(scope="module")
def splits() -> tuple[Split, Split, Split]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((5, 16))

    def draw(n: int) -> Split:
        labels = rng.integers(0, 5, n)
        return Split(centres[labels] + 0.8 * rng.standard_normal((n, 16)), labels)

    return draw(300), draw(40), draw(200)


def test_numbers_are_those_of_the_library(splits: tuple[Split, Split, Split]) -> None:
    train, query, database = splits
    comparison = compare_quantizers(*splits, quantizers=["itq", "h2q"], k=50, seeds=[0, 7])
    h2q_scores = comparison.quantizers[1]
    for place, seed in enumerate([0, 7]):
        quantizer = h2q.HouseholderQuantizer(random_state=seed).fit(train.rows)
        for ranking in comparison.ranks:
            expected = mean_average_precision(
                query.rows,
                database.rows,
                query.labels,
                database.labels,
                rank=ranking,
                quantizer=quantizer,
                k=50,
            )
            assert h2q_scores.mean_average_precision[ranking][place] == pytest.approx(expected)
        assert h2q_scores.error_database[place] == pytest.approx(
            quantizer.quantization_error(database.rows)
        )
    assert comparison.metric == "mAP@50"


def test_table_has_a_row_a_method_and_the_bound(splits: tuple[Split, Split, Split]) -> None:
    comparison = compare_quantizers(*splits, n_bits=8, seeds=[0, 1])
    rows = comparison.rows()
    assert [row[0] for row in rows] == [
        "none (sign)",
        "random rotation",
        "ITQ",
        "H²Q (graduated)",
        "real embeddings, cosine (bound)",
    ]
    assert all(len(row) == len(comparison.header()) for row in rows)
    assert "±" in rows[1][1]
    assert comparison.n_bits == 8
    assert rows[-1][1] == f"{100 * comparison.bound:.2f}"


def test_half_precision_rows(splits: tuple[Split, Split, Split]) -> None:
    half = [Split(part.rows.astype(np.float16), part.labels) for part in splits]
    single = [
        Split(part.rows.astype(np.float16).astype(np.float32), part.labels) for part in splits
    ]
    a, b = (compare_quantizers(*parts, quantizers=["itq"]) for parts in (half, single))
    assert a.bound == pytest.approx(b.bound, abs=1e-6)
    assert a.rows() == b.rows()


def test_unknown_names(splits: tuple[Split, Split, Split]) -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'itq'"):
        compare_quantizers(*splits, quantizers=["itk"])
    with pytest.raises(InvalidInputError, match="unknown quantizer"):
        make_quantizer("lsh")
    assert isinstance(make_quantizer("sign", n_bits=4), h2q.SignQuantizer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantizers": "itq"}, r"quantizers is the text 'itq'.*such as \('itq',\)"),
        ({"ranks": "hamming"}, r"ranks is the text 'hamming'.*such as \('hamming',\)"),
        ({"quantizers": []}, "quantizers is empty"),
        ({"seeds": []}, "seeds is empty"),
    ],
)
def test_lists_of_names(splits: tuple[Split, Split, Split], options: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        compare_quantizers(*splits, **options)


def test_each_quantizer_is_judged_by_its_own_rank_too(splits: tuple[Split, Split, Split]) -> None:
    train, query, database = splits
    comparison = compare_quantizers(*splits, n_bits=24, quantizers=["local-search"], k=50)
    assert comparison.ranks == ("hamming", "asymmetric", "reconstructed")
    both = compare_quantizers(*splits, n_bits=8, quantizers=["h2q", "local-search"])
    assert [row[4] == "" for row in both.rows()] == [True, False, False]
    quantizer = make_quantizer("local-search", 24, random_state=0).fit(train.rows)
    expected = mean_average_precision(
        query.rows, quantizer.transform(database.rows), query.labels, database.labels,
        rank="reconstructed", k=50, quantizer=quantizer, n_bits=24,
    )  # fmt: skip
    found = comparison.quantizers[0].mean_average_precision
    assert found["reconstructed"] == [pytest.approx(expected)]
    assert found["reconstructed"][0] > found["hamming"][0]


def test_ranks_of_ones_choice_get_their_decoders(splits: tuple[Split, Split, Split]) -> None:
    train, query, database = splits
    ranks = ["linear", "decoded", "hamming"]
    comparison = compare_quantizers(*splits, n_bits=8, quantizers=["itq"], ranks=ranks)
    assert comparison.header()[1:4] == ranks
    quantizer = make_quantizer("itq", 8, random_state=0).fit(train.rows)
    decoder = fit_decoder("code", train.rows, quantizer, random_state=0)
    found = comparison.quantizers[0].mean_average_precision
    for rank in ranks:
        expected = mean_average_precision(
            query.rows, database.rows, query.labels, database.labels, rank=rank,
            quantizer=quantizer, decoder=decoder if rank == "decoded" else None,
        )  # fmt: skip
        assert found[rank] == [pytest.approx(expected)]
    with pytest.raises(InvalidInputError, match=r"'reconstructed' suits none of .* itq"):
        compare_quantizers(*splits, quantizers=["itq"], ranks=["reconstructed"])
    with pytest.raises(InvalidInputError, match="haming"):
        compare_quantizers(*splits, quantizers=["itq"], ranks=["haming"])
