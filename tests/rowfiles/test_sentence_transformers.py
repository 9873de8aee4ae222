"""Against the library itself: its quantization, and its search over our codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sentence_transformers.util import quantization

from h2q.codes import pack
from h2q.errors import InvalidInputError
from h2q.rowfiles import read_codes, stream_of_codes, write_codes
from h2q.rowfiles.sentence_transformers import from_precision, to_precision
from tests.rowfiles.samples import check_neighbours


@pytest.mark.parametrize("precision", ["ubinary", "binary"])
@pytest.mark.parametrize("n_bits", [64, 100])
def test_their_binary_embeddings_are_our_codes(precision: str, n_bits: int) -> None:
    rows = np.random.default_rng(0).normal(size=(200, n_bits)).astype(np.float32)
    theirs = quantization.quantize_embeddings(rows, precision=precision)
    ours = to_precision(pack(rows), n_bits, precision)  # type: ignore[arg-type]
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(from_precision(theirs, n_bits), pack(rows))


def test_their_search_finds_the_same_neighbours_in_our_codes() -> None:
    rng = np.random.default_rng(1)
    rows, queries = rng.normal(size=(300, 64)), rng.normal(size=(20, 64))
    given = stream_of_codes(pack(rows), 64, list(range(300)))
    found, _ = quantization.semantic_search_faiss(
        to_precision(pack(queries), 64),
        corpus_embeddings=to_precision(pack(rows), 64),
        corpus_precision="ubinary",
        top_k=10,
        rescore=False,
    )
    ids = [[hit["corpus_id"] for hit in hits] for hits in found]
    distances = [[hit["score"] for hit in hits] for hits in found]
    check_neighbours(given, pack(queries), ids, distances, 10)


def test_their_saved_array_is_read_and_ours_is_theirs(tmp_path: Path) -> None:
    rows = np.random.default_rng(2).normal(size=(50, 32)).astype(np.float32)
    theirs = quantization.quantize_embeddings(rows, precision="ubinary")
    np.save(tmp_path / "theirs.npy", theirs)
    np.testing.assert_array_equal(
        read_codes(tmp_path / "theirs.npy", n_bits=32).gather().codes, pack(rows)
    )
    write_codes(stream_of_codes(pack(rows), 32), tmp_path / "ours.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "ours.npy"), theirs)


def test_bad_input() -> None:
    with pytest.raises(InvalidInputError, match="ubinary"):
        to_precision(np.zeros((1, 8), np.uint8), 64, "int8")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="8 bytes wide"):
        from_precision(np.zeros((1, 64), np.int8), 64)
