"""One table of ranks: the help, the docs and every collection are made from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import h2q
from h2q.codes import pack, unpack_signs
from h2q.errors import InvalidInputError
from h2q.ranks import (
    RANKS,
    Candidates,
    Queries,
    RankSpec,
    as_markdown,
    choose_rank,
    help_text,
    rank_named,
    register_rank,
)


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten afterwards."""
    before = dict(RANKS)
    yield
    RANKS.clear()
    RANKS.update(before)


def weighted(queries: Queries, state, number: int, found: Candidates) -> np.ndarray:
    """A made-up rank: the inner product with weights that fall from bit to bit."""
    weights = state
    signs = unpack_signs(found.codes, found.n_bits)
    return ((signs * weights) @ queries.rows[number]).astype(np.float32)


MADE_UP = RankSpec(
    "weighted",
    "a product whose first bits count most",
    score=weighted,
    prepare=lambda queries: np.linspace(1, 0.1, queries.rows.shape[1]),
    score_is="the weighted product",
)


def test_a_made_up_rank_is_a_function_and_a_row(restored, tmp_path: Path):
    register_rank(MADE_UP)
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((300, 24)).astype(np.float32)
    query = rng.standard_normal((3, 24)).astype(np.float32)
    with h2q.open_collection(tmp_path / "c.h2q", n_bits=24) as items:
        items.add(range(300), pack(rows), [{"odd": i % 2 == 1} for i in range(300)])
        found = items.search(query, 7, rank="weighted")
        some = items.search(query, 7, {"odd": True}, rank="weighted")
    scores = (np.where(rows > 0, 1, -1) * np.linspace(1, 0.1, 24)) @ query.T
    for i in range(3):
        order = np.argsort(-scores[:, i], kind="stable")
        assert found.ids[i] == order[:7].tolist()
        assert np.allclose(found.scores[i], scores[order[:7], i], atol=1e-5)
        assert some.ids[i] == [j for j in order.tolist() if j % 2][:7]
    assert "weighted: a product whose first bits count most" in help_text()
    assert "| `weighted` | a product whose first bits count most | a real query |" in as_markdown()


def test_the_docs_have_the_table():
    docs = Path(__file__).parents[2] / "docs" / "ranking.md"
    assert as_markdown() in docs.read_text(), (
        "docs/ranking.md is stale: put the output of "
        "`python -c 'from h2q.ranks import as_markdown; print(as_markdown())'` there"
    )


def test_the_table_imports_nothing_heavy():
    program = "import sys, h2q.ranks; print([m for m in ('numpy', 'faiss') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_the_usual_rank_of_real_queries_is_that_of_the_quantizer(restored):
    row = np.ones((1, 8), np.float32)
    plain, own = Queries(pack(row), row), Queries(pack(row), row, quantizer="mine")
    register_rank(
        RankSpec("mine", "a score of its own", score=weighted, is_default=True,
                 suits=lambda quantizer: quantizer == "mine")
    )  # fmt: skip
    assert choose_rank(None, plain, "codes").name == "asymmetric"
    assert choose_rank(None, own, "codes").name == "mine"
    assert choose_rank(None, Queries(pack(row), None), "codes").name == "hamming"
    with pytest.raises(InvalidInputError, match="does not suit"):
        choose_rank("mine", plain, "codes")


def test_a_rank_that_is_not_in_the_table_is_refused():
    with pytest.raises(InvalidInputError, match="rank must be one of hamming, asymmetric"):
        rank_named("best")
