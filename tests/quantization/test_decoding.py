"""The decoder against its formula by loops, what it keeps, and what it is for."""

from __future__ import annotations

import math

import numpy as np
import pytest
import safetensors.numpy
from scipy.stats import norm, truncnorm
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

import h2q
from h2q import CodeDecoder, HouseholderQuantizer
from h2q.codes import pack
from h2q.errors import FormatError, InvalidInputError
from h2q.evaluation import mean_average_precision


def rows_of(n: int, k: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, k)).astype(np.float32)


def expected_row(
    code: np.ndarray, rows: np.ndarray, spread: float, trust: float, background: float
) -> np.ndarray:
    """The posterior mean, entry by entry with scipy's truncated normal distribution."""
    k = rows.shape[1]
    signs = np.where(np.unpackbits(code)[:k] == 1, 1.0, -1.0)
    components = [(background, np.zeros(k), 1.0)]
    components += [((1 - background) / len(rows), row, spread) for row in rows]
    total, mean = 0.0, np.zeros(k)
    for share, centre, scale in components:
        likelihood = share * np.prod(norm.cdf(signs * centre / scale))
        low = np.where(signs > 0, -centre / scale, -np.inf)
        high = np.where(signs > 0, np.inf, -centre / scale)
        mean += likelihood * truncnorm.mean(low, high, loc=centre, scale=scale)
        total += likelihood
    found = trust * mean / total + (1 - trust) * math.sqrt(2 / math.pi) * signs
    return found / np.linalg.norm(found) * math.sqrt(k)


@pytest.mark.parametrize("k", [5, 16, 20])
@pytest.mark.parametrize(("spread", "trust", "background"), [(1.0, 0.5, 0.1), (0.6, 1.0, 0.7)])
def test_decodes_to_the_mean_given_the_signs(
    k: int, spread: float, trust: float, background: float
) -> None:
    rows, codes = rows_of(30, k), pack(rows_of(6, k, seed=1))
    decoder = CodeDecoder(spread=spread, trust=trust, background=background).fit(rows)
    z = rows / np.linalg.norm(rows, axis=1, keepdims=True) * math.sqrt(k)
    for code, found in zip(codes, decoder.decode(codes), strict=True):
        expected = expected_row(code, z, spread, trust, background)
        assert found == pytest.approx(expected, rel=2e-4, abs=2e-5)


def test_a_code_unlike_all_that_was_seen_stays_its_signs() -> None:
    centre = np.ones((1, 64)) * np.where(np.arange(64) % 2, 1, -1)
    rows = centre + 0.1 * rows_of(40, 64)
    code = pack(rows_of(1, 64, seed=3))
    found = CodeDecoder(trust=1.0).fit(rows).decode(code)[0]
    assert found == pytest.approx(np.where(np.unpackbits(code[0]) == 1, 1.0, -1.0), abs=1e-3)


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


def test_far_codes_and_small_spreads_do_not_overflow() -> None:
    rows = np.abs(rows_of(20, 256))
    found = CodeDecoder(spread=0.01).fit(rows).decode(np.zeros((1, 32), np.uint8))
    assert np.isfinite(found).all()
    assert np.linalg.norm(found) == pytest.approx(16)


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
    decoder = CodeDecoder(trust=0.8, random_state=0).fit(rows_of(20, 16))
    decoder.save(tmp_path / "decoder.safetensors")
    again = h2q.load(tmp_path / "decoder.safetensors")
    codes = pack(rows_of(5, 16, seed=2))
    assert np.array_equal(again.decode(codes), decoder.decode(codes))
    assert clone(decoder).get_params() == decoder.get_params()


def test_damaged_and_foreign_files_are_refused(tmp_path) -> None:
    data = CodeDecoder().fit(rows_of(20, 16)).to_bytes()
    for bad in (b"", data[:40], data[:-7], data.replace(b'"0.5"', b'"5.0"')):
        with pytest.raises(FormatError):
            CodeDecoder.from_bytes(bad)
    quantizer = HouseholderQuantizer(random_state=0).fit(rows_of(50, 16))
    with pytest.raises(FormatError, match="not a decoder"):
        CodeDecoder.from_bytes(quantizer.to_bytes())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spread", 0.0), ("spread", float("inf")), ("trust", 0.0), ("trust", 1.5),
        ("background", 0.0), ("background", 1.0), ("background", float("nan")),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(name: str, value: float) -> None:
    with pytest.raises(InvalidInputError, match=name):
        CodeDecoder(**{name: value}).fit(rows_of(5, 8))


def test_a_bad_number_of_prototypes_is_refused() -> None:
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


def test_reads_decoders_of_the_first_versions() -> None:
    rows = rows_of(20, 16)
    header = {"format": "h2q", "format_version": "1", "kind": "decoder", "flip_probability": "0.25"}
    modern = CodeDecoder().fit(rows)
    assert modern.to_bytes()[8:].find(b'"format":"h2q"') > 0
    old = safetensors.numpy.save({"prototypes": modern.prototypes_}, header)
    codes = pack(rows_of(5, 16, seed=2))
    assert np.array_equal(CodeDecoder.from_bytes(old).decode(codes), modern.decode(codes))


@pytest.mark.parametrize("seen", [range(10), range(5)])
def test_is_no_worse_than_signs_on_classes_seen_or_unseen(seen: range) -> None:
    # Digits, 16 bits of PCA; in the second case the decoder saw no digit that is asked for.
    pixels, labels = load_digits(return_X_y=True)
    half = len(pixels) // 2
    quantizer = HouseholderQuantizer(n_bits=16, random_state=0).fit(pixels[:half])
    known = np.isin(labels[:half], list(seen))
    decoder = CodeDecoder(random_state=0).fit(quantizer.rotate(pixels[:half][known]))
    rows, truth = np.asarray(quantizer.rotate(pixels[half:])), labels[half:]
    asked = np.ones(len(truth), bool) if len(seen) == 10 else ~np.isin(truth, list(seen))
    sides = (rows[asked], rows, truth[asked], truth)
    decoded = mean_average_precision(*sides, rank="decoded", decoder=decoder)
    signs = mean_average_precision(*sides, rank="asymmetric")
    assert decoded > signs - 0.003
    if len(seen) == 10:
        assert decoded > signs + 0.003
