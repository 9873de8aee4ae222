"""Records in the file, and the ranks that need them, at sizes where a shortlist is one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from h2q import open_collection
from h2q.codes import pack
from h2q.collections.embedded import mirror
from h2q.collections.embedded.collection import EmbeddedCollection
from h2q.errors import FormatError

K = 16


def clustered(n: int, seed: int = 0) -> np.ndarray:
    """Rows around few corners: thousands of equal codes, none of them an equal row."""
    rng = np.random.default_rng(seed)
    corners = rng.choice([-1.0, 1.0], (8, K))
    rows = corners[rng.integers(0, 8, n)] + 0.5 * rng.standard_normal((n, K))
    return rows.astype(np.float32)


def filled(path: Path, rows: np.ndarray, keep: str, ids=None) -> EmbeddedCollection:
    collection = open_collection(path, n_bits=K, keep=keep)
    assert isinstance(collection, EmbeddedCollection)
    collection.add(range(len(rows)) if ids is None else ids, pack(rows), embeddings=rows)
    return collection


def paper_order(query: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The evaluation's "embedding" order, the slow way."""
    distances = np.count_nonzero((rows > 0) != (query > 0), axis=1)
    cosines = rows @ query / np.linalg.norm(rows, axis=1)
    return np.lexsort((-cosines, distances))


@pytest.mark.parametrize("k", [1, 10, 300])
def test_embedding_rank_is_exact_among_thousands_of_ties(tmp_path, k):
    rows, queries = clustered(12_000), clustered(20, seed=1)
    with filled(tmp_path / "c.h2q", rows, "float16") as collection:
        found = collection.search(queries, k, rank="embedding")
        kept = rows.astype(np.float64)
        unit = kept / np.linalg.norm(kept, axis=1, keepdims=True)
        for i, query in enumerate(queries.astype(np.float64)):
            order = paper_order(query, kept)[:k]
            distances = np.count_nonzero((rows[order] > 0) != (query > 0), axis=1)
            assert found.distances[i].tolist() == distances.tolist()
            # float16 may exchange items whose cosines agree to 3 digits, no others.
            direction = query / np.linalg.norm(query)
            assert np.allclose(unit[found.ids[i]] @ direction, unit[order] @ direction, atol=2e-3)


@pytest.mark.parametrize("rank", ["cosine", "calibrated"])
def test_a_longer_shortlist_finds_what_a_full_scan_does(tmp_path, rank):
    rows, queries = clustered(6000), clustered(10, seed=1)
    with filled(tmp_path / "c.h2q", rows, "float16") as collection:
        best = collection.search(queries, 5, rank=rank, oversample=10_000)
        short = collection.search(queries, 5, rank=rank, oversample=1)
        shared = [len({*a} & {*b}) for a, b in zip(best.ids, short.ids, strict=True)]
        assert np.mean(shared) >= 4
        if rank == "cosine":
            unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
            for i, query in enumerate(queries):
                top = np.sort(unit @ query / np.linalg.norm(query))[::-1][:5]
                assert np.allclose(best.scores[i], top, atol=2e-3)


def test_records_follow_every_change_and_every_reader(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror, "_LEAST_DROPPED", 20)
    rng = np.random.default_rng(0)
    path = tmp_path / "c.h2q"
    rows = clustered(40)
    held = dict(enumerate(rows))
    with filled(path, rows, "int8") as writer, open_collection(path, mode="r") as reader:
        for step in range(25):
            gone = rng.choice(list(held), 15, replace=False).tolist()
            assert writer.delete(gone) == 15
            for i in gone:
                del held[i]
            ids = rng.choice(200, 15, replace=False).tolist()
            fresh = clustered(15, seed=step + 10)
            writer.add(ids, pack(fresh), embeddings=fresh)
            for i, row in zip(ids, fresh, strict=True):
                held.pop(i, None)
                held[i] = row
            query = clustered(1, seed=1000 + step)[0]
            for collection in (writer, reader) if step % 3 else (writer,):
                found = collection.search(query, 500, rank="cosine")
                assert sorted(found.ids[0]) == sorted(held)
                for i, score in zip(found.ids[0], found.scores[0], strict=True):
                    true = held[i] @ query / np.linalg.norm(held[i]) / np.linalg.norm(query)
                    assert score == pytest.approx(true, abs=0.03)
            if step == 12:
                writer.compact()
        writer.check()


def test_a_file_of_the_first_version_opens_and_is_written_on(tmp_path):
    """As the first h2q made it: version 1, no statement of what is kept."""
    path = tmp_path / "old.h2q"
    rows = clustered(20)
    filled(path, rows, "codes").close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.execute("DELETE FROM meta WHERE key = 'keep'")
    connection.commit()
    connection.close()
    with open_collection(path, keep="codes") as old:
        assert (old.info().keep, old.info().format_version) == ("codes", 1)
        old.add(["new"], pack(rows[:1]))
        assert len(old.search(rows[0], 50).ids[0]) == 21


def test_a_file_with_records_states_its_version(tmp_path):
    with filled(tmp_path / "c.h2q", clustered(5), "scale") as collection:
        assert collection.info().format_version == 2
        assert collection.info().keep == "scale"


def test_a_lost_record_is_noticed(tmp_path):
    path = tmp_path / "c.h2q"
    filled(path, clustered(20), "scale").close()
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM records WHERE row = 7")
    connection.commit()
    connection.close()
    with open_collection(path) as collection:
        assert isinstance(collection, EmbeddedCollection)
        with pytest.raises(FormatError, match="records"):
            collection.check()
        with pytest.raises(FormatError, match="records"):
            collection.search(clustered(1), 20, rank="calibrated")
        assert len(collection.search(clustered(1), 20).ids[0]) == 20
