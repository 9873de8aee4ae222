"""IVF and HNSW find most of the nearest; multi-index hashing finds all within a radius."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from h2q import open_collection
from h2q.codes import hamming_distances, pack
from h2q.collections.embedded import indexes
from h2q.collections.embedded.indexes import RadiusIndex, RowIndex
from h2q.collections.embedded.table import CodeTable
from h2q.collections.index_spec import IndexSpec
from h2q.errors import CompatibilityError, InvalidInputError
from tests.collections import test_embedded_conformance as embedded
from tests.collections.brute_collection import DictModel, exact_rows

N, N_BITS = 4000, 64


def clustered(n: int, seed: int) -> np.ndarray:
    """Rows in clusters, as embeddings of photos are."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((60, N_BITS))
    noise = 0.5 * rng.standard_normal((n, N_BITS))
    return (centres[rng.integers(0, 60, n)] + noise).astype(np.float32)


@pytest.fixture(autouse=True)
def _small_collections_have_indexes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexes, "LEAST_INDEXED", 100)


def recall(found: list[list[Any]], distances: np.ndarray, k: int) -> float:
    """Share of the answers that are as near as the true k-th."""
    kth = np.sort(distances, axis=1)[:, k - 1]
    return float(
        np.mean(
            [
                (row[ids] <= bound).mean()
                for ids, row, bound in zip(found, distances, kth, strict=True)
            ]
        )
    )


def open_indexed(path: Path, kind: str, **options: Any):
    return open_collection(path, n_bits=N_BITS, index=kind, **options)


class TestMultiIndexConforms(embedded.TestEmbedded):
    """Exact, so the whole suite holds."""

    def open(self, address: str, **options: Any):
        return super().open(address, **{"index": "mih", **options})

    @pytest.fixture(autouse=True)
    def _always_by_index(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(indexes, "LEAST_INDEXED", 1)
        monkeypatch.setattr(indexes, "_LOOK_UP", 0.0)
        monkeypatch.setattr(indexes, "_CANDIDATE", 0.0)

    def test_codes_alone_are_kept_unless_more_is_asked_for(self, empty):
        assert (empty.info().keep, empty.info().index) == ("codes", "mih")


# Approximate indexes


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_small_collections_are_scanned_so_all_is_exact(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(indexes, "LEAST_INDEXED", N + 1)
    model, codes = DictModel(N_BITS), pack(clustered(N, 0))
    with open_indexed(tmp_path / "a.h2q", kind) as collection:
        for each in (collection, model):
            each.add(range(N), codes)
        row = exact_rows(np.random.default_rng(0), 1, N_BITS)
        assert collection.search(row, 30).ids[0] == model.asymmetric(row[0], 30)[0]
        assert collection.search(pack(row), 30).ids[0] == model.nearest(pack(row)[0], 30)[0]
        collection.optimize()
    assert [p.name for p in tmp_path.iterdir()] == ["a.h2q"]


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_most_of_the_nearest_are_found(tmp_path, kind):
    rows, queries = clustered(N, 0), clustered(40, 1)
    with open_indexed(tmp_path / "a.h2q", kind) as collection:
        collection.add(range(N), pack(rows))
        distances = hamming_distances(pack(queries), pack(rows))
        found = collection.search(pack(queries), 10)
        assert recall(found.ids, distances, 10) > 0.9
        for ids, near, every in zip(found.ids, found.distances, distances, strict=True):
            assert near.tolist() == every[ids].tolist()  # true distances
            order = list(zip(near.tolist(), ids, strict=True))
            assert order == sorted(order)  # nearest first, then the older
        # The asymmetric ranking orders a shortlist: as good as that is.
        signs = np.where(rows > 0, 1.0, -1.0)
        scores = queries @ signs.T
        best = np.argsort(-scores, axis=1)[:, :10]
        by_score = collection.search(queries, 10, oversample=20)
        shares = [
            len(set(a) & set(b)) / 10 for a, b in zip(by_score.ids, best.tolist(), strict=True)
        ]
        assert np.mean(shares) > 0.85
        for i, ids in enumerate(by_score.ids):
            assert np.allclose(by_score.scores[i], scores[i][ids], atol=1e-3)
        # By radius and by condition all is exact.
        near = collection.within(pack(queries[:5]), 20)
        for ids, every in zip(near.ids, distances, strict=False):
            assert sorted(ids) == np.flatnonzero(every <= 20).tolist()


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_an_index_follows_every_change(tmp_path, kind):
    rng = np.random.default_rng(0)
    model = DictModel(N_BITS)
    options = {"nprobe": 1000} if kind == "ivf" else {"ef_search": 400}
    hits, asked = 0, 0
    with open_indexed(tmp_path / "a.h2q", kind, index_options=options) as collection:
        for step in range(25):
            ids = rng.integers(0, 3000, 300).tolist()
            codes = pack(clustered(300, step))
            gone = rng.integers(0, 3000, 200).tolist()
            for each in (collection, model):
                each.add(ids, codes)
                each.delete(gone)
            if step == 15:
                collection.compact()
            query = pack(clustered(1, 1000 + step))[0]
            found = collection.search(query, 10)
            assert set(found.ids[0]) <= set(model.items)
            assert len(set(found.ids[0])) == min(10, len(model.items))
            wanted = model.nearest(query, 10)[1]
            hits += sum(distance <= wanted[-1] for distance in found.distances[0].tolist())
            asked += 10
            assert found.distances[0][0] == wanted[0] or kind == "hnsw"
    assert hits > 0.95 * asked


def test_more_than_the_index_gives_is_answered_by_the_scan(tmp_path):
    codes = pack(clustered(N, 0))
    with open_indexed(tmp_path / "a.h2q", "ivf", index_options={"nprobe": 1}) as collection:
        collection.add(range(N), codes)
        for k in (300, N, 2 * N):
            found = collection.search(codes[:3], k)
            distances = hamming_distances(codes[:3], codes)
            for ids, every in zip(found.ids, distances, strict=True):
                wanted = np.argsort(every, kind="stable")[: min(k, N)]
                if k > 300:
                    assert ids == wanted.tolist()
                assert len(ids) == min(k, N)


@pytest.mark.parametrize("kind", ["ivf", "hnsw", "mih"])
def test_the_index_is_kept_beside_the_file(tmp_path, kind, monkeypatch):
    path, codes = tmp_path / "a.h2q", pack(clustered(N, 0))
    with open_indexed(path, kind) as collection:
        collection.add(range(N), codes)
        collection.optimize()
    assert path.with_name("a.h2q.index").exists()
    built: list[int] = []
    original = RowIndex._build
    monkeypatch.setattr(
        RowIndex, "_build", lambda self, table: (built.append(1), original(self, table))[1]
    )
    answers = []
    for mode in ("r", "a"):
        with open_collection(path, mode=mode) as collection:
            assert collection.info().index == kind
            answers.append(collection.search(codes[:20], 10).ids)
            assert len(collection._view(None).ways.index) in (0, N)
            wanted = [np.flatnonzero(d <= 2).tolist() for d in hamming_distances(codes[:5], codes)]
            found = collection.within(codes[:5], 2).ids
            assert [sorted(ids) for ids in found] == wanted
    assert answers[0] == answers[1]
    assert not built
    # Damaged or foreign, it is built from the truth; by a reader it is done without.
    data = bytearray(path.with_name("a.h2q.index").read_bytes())
    data[len(data) // 2] ^= 16
    path.with_name("a.h2q.index").write_bytes(data)
    with open_collection(path, mode="r") as collection:
        exact = collection.search(codes[:20], 10)
        assert not built
        distances = hamming_distances(codes[:20], codes)
        assert recall(exact.ids, distances, 10) == 1
    with open_collection(path) as collection:
        collection.search(codes[:20], 10)
        collection.within(codes[:20], 2)
    assert built == [1]


def test_a_truncated_index_is_built_anew(tmp_path):
    path, codes = tmp_path / "a.h2q", pack(clustered(N, 0))
    with open_indexed(path, "hnsw") as collection:
        collection.add(range(N), codes)
        collection.optimize()
        before = collection.search(codes[:20], 10).ids
    index = path.with_name("a.h2q.index")
    whole = index.read_bytes()
    for share in (0.0, 0.7):
        index.write_bytes(whole[: int(share * len(whole))])
        with open_collection(path) as collection:
            found = collection.search(codes[:20], 10)
            assert recall(found.ids, hamming_distances(codes[:20], codes), 10) > 0.95
            collection.optimize()
        assert len(index.read_bytes()) > 0.9 * len(whole)
    assert before


def test_a_compacted_collection_keeps_its_index(tmp_path, monkeypatch):
    path, codes = tmp_path / "a.h2q", pack(clustered(N, 0))
    with open_indexed(path, "hnsw") as collection:
        collection.add(range(N), codes)
        collection.optimize()
        collection.delete(range(0, 500))
        collection.compact()
    monkeypatch.setattr(RowIndex, "_build", lambda *_: pytest.fail("built anew"))
    with open_collection(path) as collection:
        found = collection.search(codes[:20], 10)
        assert min(i for ids in found.ids for i in ids) >= 500
        assert len(collection._view(None).ways.index) == N


# What is stated


def test_the_index_is_stated_in_the_file(tmp_path):
    path = tmp_path / "a.h2q"
    open_indexed(path, "hnsw", index_options={"m": 16, "ef_search": 50}).close()
    with open_collection(path) as collection:
        assert collection.info().index == "hnsw"
        assert dict(collection._facts.index.options) == {"m": 16, "ef_search": 50}
    with open_collection(path, index_options={"ef_search": 70}) as collection:
        assert dict(collection._facts.index.options) == {"m": 16, "ef_search": 70}
    with open_collection(path, mode="r", index="flat") as collection:
        assert collection.info().index == "flat"
    with open_collection(path) as collection:  # a reader changed nothing
        assert collection.info().index == "hnsw"
    with open_collection(path, index="flat") as collection:  # scans, and changes nothing either
        assert collection.info().index == "flat"
    with open_collection(path) as collection:
        assert collection.info().index == "hnsw"


def test_another_way_to_build_it_builds_it_anew(tmp_path):
    path, codes = tmp_path / "a.h2q", pack(clustered(N, 0))
    sizes = []
    for m in (8, 32):
        with open_collection(path, n_bits=N_BITS, index="hnsw", index_options={"m": m}) as each:
            each.add(range(N), codes)
            each.optimize()
        sizes.append(path.with_name("a.h2q.index").stat().st_size)
    assert sizes[1] > 1.5 * sizes[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"index": "lsh"}, "flat, ivf, ivf_asymmetric, hnsw, mih"),
        ({"index": "hnsw", "index_options": {"nlist": 8}}, "'nlist' is unknown.*ef_search"),
        ({"index": "flat", "index_options": {"nlist": 8}}, "no options"),
        ({"index_options": {"nlist": 8}}, "give index="),
        ({"index": "ivf", "index_options": {"nlist": 0}}, "nlist must be"),
        ({"index": "ivf", "index_options": {"nprobe": 1.5}}, "nprobe must be"),
    ],
)
def test_unknown_indexes_and_options_are_refused(tmp_path, options, words):
    path = tmp_path / "a.h2q"
    with pytest.raises(InvalidInputError, match=words):
        open_collection(path, n_bits=N_BITS, **options)
    assert not path.exists()
    open_collection(path, n_bits=N_BITS).close()
    with pytest.raises(InvalidInputError, match=words):
        open_collection(path, **options)


def test_an_index_of_a_newer_h2q_is_named(tmp_path):
    path = tmp_path / "a.h2q"
    with open_collection(path, n_bits=N_BITS) as collection, collection._transaction() as sql:
        sql.execute("""INSERT INTO meta VALUES ('index', '{"kind": "vamana", "options": {}}')""")
    with pytest.raises(CompatibilityError, match=r"a\.h2q.*vamana"):
        open_collection(path)
    open_collection(path, index="flat").close()
    open_collection(path, index="ivf").close()
    open_collection(path).close()


# Multi-index hashing is exact


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_all_within_any_radius_are_found(data):
    """For any codes, any way of cutting them and any radius: the same as comparing with all."""
    n_bits = data.draw(st.sampled_from([8, 12, 16, 24, 40, 64, 128]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n = data.draw(st.integers(120, 400))
    flips = data.draw(st.sampled_from([0.02, 0.1, 0.3, 0.5]))
    base = rng.integers(0, 2, (3, n_bits))
    codes = pack(base[rng.integers(0, 3, n)] ^ (rng.random((n, n_bits)) < flips))
    options = {"n_maps": data.draw(st.integers(1, n_bits))} if data.draw(st.booleans()) else {}
    table = CodeTable(codes.shape[1])
    index = RowIndex(IndexSpec("mih", options), may_build=True)
    half = n // 2
    table = table.with_added(np.arange(1, half + 1) * 3, codes[:half], range(half))
    before = indexes.LEAST_INDEXED
    vars(indexes)["LEAST_INDEXED"] = 1
    try:
        assert index.follow(table)
        table = table.with_added(np.arange(half + 1, n + 1) * 3, codes[half:], range(half, n))
        table = table.without(rng.integers(1, n, data.draw(st.integers(0, 60))) * 3)
        assert index.follow(table)
    finally:
        vars(indexes)["LEAST_INDEXED"] = before
    by_radius = RadiusIndex(index)
    by_radius.worthwhile = lambda *_: True  # type: ignore[method-assign]
    # The largest radius that is not as good as trying every key.
    radius = data.draw(st.integers(0, min(n_bits, 3 * int(index.faiss.nhash))))
    if by_radius._probes(radius) > 200_000:
        return
    queries = codes[rng.integers(0, n, 4)]
    distances = hamming_distances(queries, table.codes)
    for hits, every in zip(by_radius.within(table, queries, radius), distances, strict=True):
        inside = np.flatnonzero((every <= radius) & table.alive)
        wanted = inside[np.argsort(every[inside], kind="stable")]
        assert hits.positions.tolist() == wanted.tolist()
        assert hits.values.tolist() == every[wanted].tolist()


def test_a_radius_for_which_it_is_slower_is_scanned(monkeypatch):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (100_000, 8), dtype=np.uint8)
    table = CodeTable(8)
    table = table.with_added(np.arange(len(codes)), codes, range(len(codes)))
    index = RowIndex(IndexSpec("mih"), may_build=True)
    assert index.follow(table)
    by_radius = RadiusIndex(index)
    assert [by_radius.worthwhile(table, radius) for radius in (0, 2, 40, 64, 10**6)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    # Where most codes share their keys, looking them up meets them all.
    alike = np.zeros((30_000, 8), np.uint8)
    alike[:, 7] = rng.integers(0, 256, len(alike))
    table = CodeTable(8)
    table = table.with_added(np.arange(len(alike)), alike, range(len(alike)))
    index = RowIndex(IndexSpec("mih"), may_build=True)
    assert index.follow(table)
    assert not RadiusIndex(index).worthwhile(table, 2)


def test_exact_ranking_is_kept_with_multi_index_hashing(tmp_path):
    rng = np.random.default_rng(0)
    model = DictModel(N_BITS)
    with open_indexed(tmp_path / "a.h2q", "mih") as collection:
        codes = pack(clustered(N, 0))
        for each in (collection, model):
            each.add(range(N), codes)
        row = exact_rows(rng, 1, N_BITS)
        assert collection.search(row, 30).ids[0] == model.asymmetric(row[0], 30)[0]
        assert collection.search(pack(row), 30).ids[0] == model.nearest(pack(row)[0], 30)[0]
