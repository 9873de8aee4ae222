from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from usearch.index import Index

from h2q.errors import FormatError
from h2q.rowfiles import read_codes, write_codes
from tests.rowfiles.samples import check_neighbours, queries_for, sample


@pytest.mark.parametrize("n_bits", [64, 36])
def test_usearch_finds_the_same_neighbours_by_id(n_bits: int, tmp_path: Path) -> None:
    given = sample(n_bits, 400, "int")
    path = write_codes(given, tmp_path / "codes.usearch", m=16, ef_construction=64)
    index = Index.restore(str(path))
    assert index is not None
    assert (len(index), index.ndim) == (400, n_bits)
    queries = queries_for(n_bits)
    found = index.search(queries, 10, exact=True)
    check_neighbours(given, queries, found.keys.tolist(), found.distances, 10)
    graph = index.search(queries, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(graph.keys, found.keys)])  # noqa: B905
    assert recall > 0.6  # ties are many, so this is a low bar


def test_foreign_indexes_are_read_and_others_refused(tmp_path: Path) -> None:
    codes = sample(32, 50).gather().codes
    theirs = Index(ndim=32, metric="hamming", dtype="b1")
    theirs.add(np.arange(50, dtype=np.uint64) * 2**40, codes)
    theirs.save(str(tmp_path / "theirs.usearch"))
    found = read_codes(tmp_path / "theirs.usearch").gather()
    assert found.ids == [i * 2**40 for i in range(50)]
    np.testing.assert_array_equal(found.codes, codes)
    real = Index(ndim=8, metric="cos", dtype="f32")
    real.add(0, np.ones(8, np.float32))
    real.save(str(tmp_path / "real.usearch"))
    with pytest.raises(FormatError, match="b1"):
        read_codes(tmp_path / "real.usearch")
