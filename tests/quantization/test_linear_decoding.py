"""Rows back from codes by least squares, and scores with them."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import h2q
from h2q import HouseholderQuantizer, LinearDecoder
from h2q.codes import pack, unpack_signs
from h2q.errors import FormatError, InvalidInputError
from h2q.quantization import CodeDecoder, decoder_from_bytes
from h2q.quantization.linear_decoding import _smooth_peak
from h2q.quantization.linear_map import EXPONENTS


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def fitted(rows):
    quantizer = HouseholderQuantizer(8, random_state=0).fit(rows)
    codes = quantizer.transform(rows)
    return LinearDecoder(random_state=0).fit(rows, codes), codes


def test_a_linear_code_is_recovered():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (4000, 2), dtype=np.uint8)
    weights, mean = rng.standard_normal((20, 16)) / 20, rng.standard_normal(20)
    rows = mean + unpack_signs(codes, 16) @ weights.T
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    decoder = LinearDecoder(random_state=0).fit(rows, codes)
    # Only directions are fitted, and lengths differ a little.
    cosine = (unit(decoder.decode(codes)) * rows / lengths).sum(axis=1)
    assert cosine.min() > 0.98
    assert decoder.decode(codes).shape == (4000, 20)


def test_it_is_least_squares(rows, fitted):
    decoder, codes = fitted
    error = np.square(unit(rows) - decoder.decode(codes)).sum()
    rng = np.random.default_rng(0)
    for _ in range(5):
        other = LinearDecoder().set(
            decoder.mean_, decoder.weights_ + 0.01 * rng.standard_normal((12, 8), dtype=np.float32)
        )
        assert np.square(unit(rows) - other.decode(codes)).sum() > error


def test_scores_are_the_products_over_the_power_of_the_length(rows, fitted):
    decoder, codes = fitted
    decoded = decoder.decode(codes).astype(np.float64)
    lengths = np.linalg.norm(decoded, axis=1)
    np.testing.assert_allclose(decoder.lengths(codes), lengths, rtol=1e-5)
    expected = unit(rows[:9]) @ decoded.T / lengths**decoder.exponent_
    np.testing.assert_allclose(decoder.scores(rows[:9], codes), expected, rtol=1e-3, atol=1e-5)


def test_equal_codes_have_equal_lengths_in_every_batch(fitted):
    decoder, codes = fitted
    whole = decoder.lengths(codes)
    for size in (1, 3, 100):
        parts = [decoder.lengths(codes[i : i + size]) for i in range(0, len(codes), size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_the_exponent_is_the_best_on_pairs_held_out(rows):
    """Rows of two sizes of noise: a long x̂ is no reason to be preferred."""
    rng = np.random.default_rng(0)
    many = np.concatenate([rows + rng.standard_normal(rows.shape) for _ in range(10)])
    quantizer = HouseholderQuantizer(8, random_state=0).fit(many)
    codes = quantizer.transform(many)
    decoder = LinearDecoder(random_state=0).fit(many, codes)
    queries = rows + rng.standard_normal(rows.shape)
    true = np.argsort(-unit(queries) @ unit(many).T, axis=1)[:, :10]

    def recall(exponent):
        decoder.exponent_ = exponent
        found = np.argsort(-decoder.scores(queries, codes), axis=1, kind="stable")[:, :10]
        return np.mean([len(set(a) & set(b)) for a, b in zip(found, true, strict=True)])

    chosen = recall(decoder.exponent_)
    assert chosen >= max(recall(each) for each in (0.0, 0.5, 1.0)) - 0.4


def test_noisy_hits_give_the_power_between_those_tried():
    tried = EXPONENTS
    rng = np.random.default_rng(0)
    for peak in (0.55, 0.7, 0.8):
        hits = 8000 - 5000 * (np.array(tried) - peak) ** 2
        assert _smooth_peak(tried, hits) == pytest.approx(peak)
        found = [_smooth_peak(tried, hits + rng.normal(0, 10, len(hits))) for _ in range(200)]
        assert np.abs(np.array(found) - peak).mean() < 0.04
    flat = np.full(len(tried), 5.0)
    assert _smooth_peak(tried, flat) == 0.75
    assert _smooth_peak(tried, np.array(tried)) == 1.25
    assert _smooth_peak(tried, -np.array(tried)) == 0.0


def test_a_mean_far_from_zero_is_put_back(rows):
    """What is ranked is the cosine of the rows, not of the centred rows."""
    rng = np.random.default_rng(1)
    far = rows + 12 * rng.standard_normal(12)
    quantizer = HouseholderQuantizer(8, random_state=0).fit(far)
    codes = quantizer.transform(far)
    decoder = LinearDecoder(random_state=0).fit(far, codes)
    true = unit(far[:50]) @ unit(far).T
    rotated = quantizer.rotate(far[:50])
    plain = rotated @ unpack_signs(codes, 8).T

    def agreement(scores):
        pairs = zip(scores, true, strict=True)
        return np.mean([np.corrcoef(a, b)[0, 1] for a, b in pairs])

    ours, theirs = agreement(decoder.scores(far[:50], codes)), agreement(plain)
    assert ours > theirs + 0.02


def test_it_comes_back_from_a_file(rows, fitted, tmp_path):
    decoder, codes = fitted
    decoder.save(tmp_path / "d")
    for restored in (h2q.load(tmp_path / "d"), decoder_from_bytes(decoder.to_bytes())):
        assert type(restored) is LinearDecoder
        np.testing.assert_array_equal(restored.scores(rows, codes), decoder.scores(rows, codes))
        assert restored.to_bytes() == decoder.to_bytes()
    other = CodeDecoder(random_state=0).fit(rows)
    assert type(decoder_from_bytes(other.to_bytes())) is CodeDecoder


def test_damaged_files_are_refused(fitted):
    data = fitted[0].to_bytes()
    for broken in (data[:40], data.replace(b"weights", b"weighty"), data[:-4]):
        with pytest.raises(FormatError):
            decoder_from_bytes(broken)
    flipped = bytearray(data)
    flipped[-3] ^= 1
    with pytest.raises(FormatError, match="checksum"):
        decoder_from_bytes(bytes(flipped))
    data = data.replace(b'"sha256"', b'"old256"')  # a file of before there was one
    assert decoder_from_bytes(data).exponent_ == fitted[0].exponent_
    nan = bytearray(data)
    nan[-4:] = np.float32(np.nan).tobytes()
    with pytest.raises(FormatError, match="finite"):
        decoder_from_bytes(bytes(nan))
    wrong = data.replace(b'"exponent":"0', b'"exponent":"9')
    if wrong != data:
        with pytest.raises(FormatError, match="exponent"):
            decoder_from_bytes(wrong)


def test_bad_input_is_named(rows, fitted):
    decoder, codes = fitted
    with pytest.raises(NotFittedError, match="call fit"):
        LinearDecoder().decode(codes)
    with pytest.raises(InvalidInputError, match="300 rows but 299 codes"):
        LinearDecoder().fit(rows, codes[1:])
    with pytest.raises(InvalidInputError, match="bytes wide"):
        decoder.decode(np.zeros((2, 5), np.uint8))
    broken = rows.copy()
    broken[3, 3] = np.nan
    with pytest.raises(InvalidInputError, match="row 3"):
        LinearDecoder().fit(broken, codes)
    with pytest.raises(InvalidInputError, match="two rows that are not zero"):
        LinearDecoder().fit(rows * 0, codes)


def test_zero_rows_are_left_out(rows, fitted):
    decoder, codes = fitted
    with_zeros = np.insert(rows, 5, 0.0, axis=0)
    other = LinearDecoder(random_state=0).fit(with_zeros, np.insert(codes, 5, 255, axis=0))
    np.testing.assert_allclose(other.weights_, decoder.weights_, atol=1e-6)


def test_filling_bits_are_no_bits(rows):
    signs = np.sign(rows[:, :6])
    decoder = LinearDecoder(random_state=0).fit(rows, pack(signs), n_bits=6)
    assert decoder.weights_.shape == (12, 6)


def test_quantizers_that_centre_bring_rows_back(rows, tmp_path):
    """Where columns are left out the rows are centred: the decoder has the mean."""
    for kind in (HouseholderQuantizer, h2q.SignQuantizer):
        quantizer = kind(6, random_state=0) if kind is HouseholderQuantizer else kind(6)
        quantizer.fit(rows)
        codes = quantizer.transform(rows)
        decoder = quantizer.decoder_
        lost = np.square(unit(rows) - decoder.decode(codes)).sum()
        assert lost < np.square(unit(rows) - unit(rows).mean(axis=0)).sum()
        quantizer.save(tmp_path / "q")
        restored = h2q.load(tmp_path / "q").decoder_
        np.testing.assert_array_equal(restored.scores(rows, codes), decoder.scores(rows, codes))
        assert restored.exponent_ == decoder.exponent_
    assert HouseholderQuantizer(random_state=0).fit(rows).decoder_ is None


def test_uncentred_rows_have_the_cosines_of_the_rows(rows):
    far = rows + 3
    quantizer = HouseholderQuantizer(11, random_state=0).fit(far)
    true = unit(far[:40]) @ unit(far).T
    ours = unit(quantizer.rotate_uncentred(far[:40])) @ unit(quantizer.rotate_uncentred(far)).T
    theirs = unit(quantizer.rotate(far[:40])) @ unit(quantizer.rotate(far)).T
    assert np.abs(ours - true).mean() < 0.2 * np.abs(theirs - true).mean()
    whole = HouseholderQuantizer(random_state=0).fit(far)
    np.testing.assert_allclose(whole.rotate_uncentred(far), whole.rotate(far), atol=1e-10)
