"""The decoder against its formula by loops, what it keeps, and what it is for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

import h2q
from h2q import CodeDecoder, HouseholderQuantizer
from h2q.codes import hamming_distances, pack
from h2q.errors import FormatError, InvalidInputError
from h2q.evaluation import mean_average_precision


def rows_of(n: int, k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, k)).astype(np.float32)


@pytest.mark.parametrize("k", [5, 16, 20])
def test_decodes_by_its_formula(k: int) -> None:
    rows, codes = rows_of(30, k), pack(rows_of(12, k, seed=1))
    decoder = CodeDecoder(0.1).fit(rows)
    z = rows / np.linalg.norm(rows, axis=1, keepdims=True) * math.sqrt(k)
    distances = hamming_distances(codes, pack(rows))
    for code, found in enumerate(decoder.decode(codes)):
        weights = [(0.1 / 0.9) ** int(d) for d in distances[code]]
        expected = sum(w * row for w, row in zip(weights, z, strict=True)) / sum(weights)
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_equal_codes_in_any_order_have_equal_embeddings() -> None:
    rows = rows_of(40, 16)
    codes = pack(rows_of(10, 16, seed=1))
    mixed = codes[[3, 3, 9, 0, 3]]
    decoder = CodeDecoder().fit(rows)
    assert np.array_equal(decoder.decode(mixed), decoder.decode(codes)[[3, 3, 9, 0, 3]])
    assert decoder.decode(codes[:0]).shape == (0, 16)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder, codes = CodeDecoder().fit(rows_of(50, 16)), pack(rows_of(33, 16, seed=1))
    whole = decoder.decode(codes)
    monkeypatch.setattr("h2q.quantization.sphere.BLOCK_ENTRIES", 200)
    assert decoder.decode(codes) == pytest.approx(whole, abs=1e-5)


def test_far_codes_and_small_probabilities_do_not_overflow() -> None:
    rows = np.abs(rows_of(20, 256))
    found = CodeDecoder(1e-9).fit(rows).decode(np.zeros((1, 32), np.uint8))
    assert np.isfinite(found).all()


def test_keeps_a_seeded_sample_of_many_rows() -> None:
    rows = rows_of(100, 8)
    a, b = (CodeDecoder(max_prototypes=10, random_state=3).fit(rows) for _ in range(2))
    assert a.prototypes_.shape == (10, 8)
    assert np.array_equal(a.prototypes_, b.prototypes_)
    other = CodeDecoder(max_prototypes=10, random_state=4).fit(rows)
    assert not np.array_equal(a.prototypes_, other.prototypes_)


def test_rows_of_zeros_are_no_prototypes() -> None:
    rows = rows_of(10, 8)
    rows[3] = 0
    assert len(CodeDecoder().fit(rows).prototypes_) == 9
    with pytest.raises(InvalidInputError, match="zeros"):
        CodeDecoder().fit(np.zeros((3, 8)))


def test_survives_a_file_and_a_clone(tmp_path) -> None:
    decoder = CodeDecoder(0.2, random_state=0).fit(rows_of(20, 16))
    decoder.save(tmp_path / "decoder.safetensors")
    again = h2q.load(tmp_path / "decoder.safetensors")
    codes = pack(rows_of(5, 16, seed=2))
    assert np.array_equal(again.decode(codes), decoder.decode(codes))
    assert clone(decoder).get_params() == decoder.get_params()


def test_damaged_and_foreign_files_are_refused(tmp_path) -> None:
    data = CodeDecoder().fit(rows_of(20, 16)).to_bytes()
    for bad in (b"", data[:40], data[:-7], data.replace(b"0.25", b"0.95")):
        with pytest.raises(FormatError):
            CodeDecoder.from_bytes(bad)
    quantizer = HouseholderQuantizer(random_state=0).fit(rows_of(50, 16))
    with pytest.raises(FormatError, match="not a decoder"):
        CodeDecoder.from_bytes(quantizer.to_bytes())


@pytest.mark.parametrize("flip", [0.0, 0.5, -1.0, float("nan")])
def test_bad_parameters_are_refused(flip: float) -> None:
    with pytest.raises(InvalidInputError, match="flip_probability"):
        CodeDecoder(flip).fit(rows_of(5, 8))
    with pytest.raises(InvalidInputError, match="max_prototypes"):
        CodeDecoder(max_prototypes=0).fit(rows_of(5, 8))


def test_bad_rows_and_codes_are_refused() -> None:
    with pytest.raises(NotFittedError):
        CodeDecoder().decode(np.zeros((1, 2), np.uint8))
    for bad in (np.zeros(8), np.zeros((0, 8)), np.ones((4, 8), int)):
        with pytest.raises(InvalidInputError, match="rotated real rows"):
            CodeDecoder().fit(bad)
    with pytest.raises(InvalidInputError, match="NaN"):
        CodeDecoder().fit(np.full((3, 8), np.nan))
    with pytest.raises(InvalidInputError, match="bytes wide"):
        CodeDecoder().fit(rows_of(5, 16)).decode(np.zeros((1, 3), np.uint8))


def test_ranks_real_images_better_than_signs() -> None:
    # Digits, 16 bits of PCA: the decoded score finds more of the class than the signs' score.
    pixels, labels = load_digits(return_X_y=True)
    half = len(pixels) // 2
    quantizer = HouseholderQuantizer(n_bits=16, random_state=0).fit(pixels[:half])
    decoder = CodeDecoder(random_state=0).fit(quantizer.rotate(pixels[:half]))
    queries, items = np.asarray(quantizer.rotate(pixels[half:])), pixels[half:]
    scores = decoder.scores(queries, quantizer.transform(items))
    relevant = labels[half:, None] == labels[None, half:]
    order = np.argsort(-scores, axis=1, kind="stable")
    hits = np.take_along_axis(relevant, order, axis=1)
    precision = np.cumsum(hits, axis=1) / np.arange(1, hits.shape[1] + 1)
    decoded = float(np.mean((precision * hits).sum(axis=1) / hits.sum(axis=1)))
    signs = mean_average_precision(
        queries, queries, labels[half:], labels[half:], ranking="asymmetric"
    )
    assert decoded > signs + 0.01
