"""The index "ivf_asymmetric" finds most of the highest scores of real queries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import h2q
from h2q.codes import pack, unpack_signs
from h2q.collections.embedded import cells, indexes
from h2q.collections.index_spec import IndexSpec
from h2q.errors import InvalidInputError
from h2q.ranks import RANKS
from tests.collections import test_embedded_conformance as embedded

N, N_BITS = 4000, 64


def clustered(n: int, seed: int, width: int = N_BITS) -> np.ndarray:
    """Rows in clusters, far from zero."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((60, width))
    noise = 0.5 * rng.standard_normal((n, width))
    return (centres[rng.integers(0, 60, n)] + noise).astype(np.float32)


@pytest.fixture(autouse=True)
def _small_collections_have_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "LEAST_INDEXED", 100)
    monkeypatch.setattr(cells, "_LARGEST_SHARE", 1 / 2)


@pytest.fixture(scope="module")
def chosen() -> h2q.LocalSearchQuantizer:
    """Return a quantizer whose codes are chosen, with bits that do not fill the last byte."""
    return h2q.LocalSearchQuantizer(60, n_iter=2, n_flips=10, random_state=0).fit(
        clustered(2000, 7, 24)
    )


class TestCellsConform(embedded.TestEmbedded):
    """All cells are looked into, so the whole suite holds."""

    def open(self, address: str, **options: Any):
        given = {"index": "ivf_asymmetric", "index_options": {"nprobe": 100_000}}
        return super().open(address, **{**given, **options})

    @pytest.fixture(autouse=True)
    def _always_by_index(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(indexes, "LEAST_INDEXED", 1)

    def test_codes_alone_are_kept_unless_more_is_asked_for(self, empty):
        assert (empty.info().keep, empty.info().index) == ("codes", "ivf_asymmetric")


def made(path: Path, quantizer: Any, **options: Any) -> tuple[Any, np.ndarray]:
    if quantizer is None:
        rows = clustered(N, 0)
        opened = h2q.open_collection(path, n_bits=N_BITS, index="ivf_asymmetric", **options)
        codes = pack(rows)
    else:
        codes = quantizer.transform(clustered(N, 0, 24))
        opened = h2q.open_collection(path, quantizer=quantizer, index="ivf_asymmetric", **options)
    opened.add(range(N), codes)
    return opened, codes


def queries_for(quantizer: Any, n: int, seed: int) -> np.ndarray:
    return clustered(n, seed, N_BITS if quantizer is None else 24)


@pytest.mark.parametrize("kind", ["signs", "chosen"])
def test_most_of_the_best_are_found_with_their_true_scores(tmp_path, kind, chosen):
    quantizer = chosen if kind == "chosen" else None
    collection, codes = made(tmp_path / "a.h2q", quantizer)
    with collection:
        queries = queries_for(quantizer, 40, 1)
        if quantizer is None:
            scores = queries @ unpack_signs(codes, N_BITS).T
        else:
            scores = quantizer.decoder_.scores(queries, codes)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :10].tolist()
        found = collection.search(queries, 10)
        shares = [len({*a} & {*b}) / 10 for a, b in zip(found.ids, best, strict=True)]
        assert np.mean(shares) > 0.93
        for row, ids, given in zip(scores, found.ids, found.scores, strict=True):
            np.testing.assert_allclose(given, row[ids], atol=1e-3)
            assert given.tolist() == sorted(given.tolist(), reverse=True)
        assert len(collection._view(None).ways.by_score) == N
        # By code, within a radius and with a condition all is exact, and so is what asks for much.
        with h2q.open_collection(collection.uri, mode="r", index="flat") as flat:
            code = codes[:5]
            assert collection.search(code, 10).ids == flat.search(code, 10).ids
            assert collection.within(code, 9).ids == flat.within(code, 9).ids
            assert collection.search(queries[:2], N).ids == flat.search(queries[:2], N).ids
            more = collection.search(queries[:2], 5, rank="asymmetric", oversample=200)
            assert more.ids == flat.search(queries[:2], 5, rank="asymmetric").ids


@pytest.mark.parametrize("kind", ["signs", "chosen"])
def test_it_follows_every_change_and_is_kept_beside_the_file(tmp_path, kind, chosen, monkeypatch):
    quantizer = chosen if kind == "chosen" else None
    monkeypatch.setattr(cells, "_LEAST_YOUNG", 150)
    path = tmp_path / "a.h2q"
    every = {"nprobe": 1000}
    collection, codes = made(path, quantizer, index_options=every)
    queries = queries_for(quantizer, 8, 2)
    rng = np.random.default_rng(0)
    flat = h2q.open_collection(path, mode="r", index="flat")

    def same(opened: Any) -> None:
        a, b = opened.search(queries, 10), flat.search(queries, 10)
        assert np.mean([len({*x} & {*y}) / 10 for x, y in zip(a.ids, b.ids, strict=True)]) > 0.99
        assert {i for ids in a.ids for i in ids} <= {
            i for batch in flat.iterate() for i in batch.ids
        }

    with collection:
        collection.optimize()
        for step in range(8):
            new = rng.integers(0, N, 100)
            collection.add([f"new {step} {i}" for i in range(100)], codes[new])
            collection.delete(rng.integers(0, N, 150).tolist())
            collection.delete(collection.search(queries[step], 2).ids[0])
            same(collection)
            if step == 4:
                collection.compact()
        collection.optimize()
    index = path.with_name("a.h2q.index")
    trained = []
    original = cells._trained
    monkeypatch.setattr(cells, "_trained", lambda *a: trained.append(1) or original(*a))
    for mode in ("r", "a"):
        with h2q.open_collection(path, mode=mode) as again:
            assert again.info().index == "ivf_asymmetric"
            same(again)
    assert not trained
    # Damaged, it is done without by a reader, and made anew by who may write.
    data = bytearray(index.read_bytes())
    data[len(data) // 2] ^= 16
    index.write_bytes(data)
    with h2q.open_collection(path, mode="r") as again:
        assert again.search(queries, 10).ids == flat.search(queries, 10).ids
    assert not trained
    with h2q.open_collection(path) as again:
        same(again)
    assert trained == [1]
    flat.close()


def test_threads_search_it_while_items_are_added(tmp_path):
    import threading

    collection, codes = made(tmp_path / "a.h2q", None)
    queries = queries_for(None, 16, 3)
    failed: list[BaseException] = []
    with collection:
        collection.optimize()

        def search() -> None:
            try:
                for number in range(40):
                    found = collection.search(queries[number % 16], 10)
                    assert len(found.ids[0]) == 10
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=search) for _ in range(3)]
        for thread in threads:
            thread.start()
        for step in range(20):
            collection.add([f"{step} {i}" for i in range(50)], codes[:50])
        for thread in threads:
            thread.join()
    assert not failed


def test_an_option_that_is_none_is_refused_and_other_engines_have_no_such_index(tmp_path):
    with pytest.raises(InvalidInputError, match="nprobe"):
        h2q.open_collection(
            tmp_path / "a.h2q", n_bits=64, index="ivf_asymmetric", index_options={"m": 4}
        )
    for engine in ("pgvector", "milvus"):
        with pytest.raises(InvalidInputError, match="flat"):
            IndexSpec("ivf_asymmetric").checked_for(engine)


def test_a_rank_without_a_linear_form_is_scanned(tmp_path, monkeypatch):
    scorer_of_signs = RANKS["asymmetric"].scorer

    class Plain:
        """The scorer of signs, without what cells are made of."""

        def __init__(self) -> None:
            self._scorer = scorer_of_signs(None)

        def __getattr__(self, name: str) -> Any:
            if name == "linear_form":
                raise AttributeError(name)
            return getattr(self._scorer, name)

    from dataclasses import replace

    monkeypatch.setitem(
        RANKS, "asymmetric", replace(RANKS["asymmetric"], scorer=lambda quantizer: Plain())
    )
    collection, codes = made(tmp_path / "a.h2q", None)
    with collection:
        query = queries_for(None, 1, 5)
        scores = query @ unpack_signs(codes, N_BITS).T
        assert collection.search(query, 3).ids[0] == np.argsort(-scores[0])[:3].tolist()
        collection.optimize()
