"""A million random 64-bit codes: add, search, delete, open again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h2q import open_collection
from h2q.codes import hamming_distances, pack, unpack_signs

N = 1_000_000


def nearest(distances: np.ndarray, k: int) -> list[int]:
    return np.argsort(distances, kind="stable")[:k].tolist()


@pytest.mark.slow
def test_a_million_codes(tmp_path: Path):
    path = tmp_path / "million.h2q"
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (N, 8), dtype=np.uint8)
    rows = rng.standard_normal((10, 64)).astype(np.float32)
    queries = pack(rows)
    with open_collection(path, n_bits=64) as collection:
        for start in range(0, N, 250_000):
            collection.add(range(start, start + 250_000), codes[start : start + 250_000])
        assert len(collection) == N

    distances = hamming_distances(queries, codes)
    with open_collection(path) as collection:
        assert len(collection) == N
        assert collection.search(queries, 10).ids == [nearest(d, 10) for d in distances]
        near = collection.within(queries, 13)
        for ids, found, every in zip(near.ids, near.distances, distances, strict=True):
            assert sorted(ids) == np.flatnonzero(every <= 13).tolist()
            assert found.tolist() == every[ids].tolist()
        scores = rows @ unpack_signs(codes, 64).T
        by_score = collection.search(rows, 10)
        for i in range(10):
            best = np.sort(scores[i])[::-1][:10]
            assert np.allclose(by_score.scores[i], best, atol=1e-4)
            assert np.allclose(scores[i][by_score.ids[i]], best, atol=1e-4)

        # Delete the best of each query and a tenth of all, in one call.
        gone = np.unique([*np.array(by_score.ids).ravel(), *range(0, N, 10)])
        assert collection.delete(gone) == len(gone)
        assert collection.delete(gone) == 0
        distances[:, gone] = 65
        scores[:, gone] = -np.inf
        assert collection.search(queries, 10).ids == [nearest(d, 10) for d in distances]

    with open_collection(path, mode="r") as collection:
        assert len(collection) == N - len(gone)
        assert collection.search(queries, 10).ids == [nearest(d, 10) for d in distances]
        by_score = collection.search(rows, 10)
        for i in range(10):
            best = np.sort(scores[i])[::-1][:10]
            assert np.allclose(by_score.scores[i], best, atol=1e-4)
        collection.check()
