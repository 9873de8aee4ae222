"""The quantizer whose bits are chosen for a linear decoder."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

import h2q
from h2q import HouseholderQuantizer, LinearDecoder, LocalSearchQuantizer
from h2q.codes import unpack_signs
from h2q.errors import FormatError, InvalidInputError
from h2q.quantization import from_bytes, sphere

from .test_sklearn import EXPECTED_FAILURES

torch = pytest.importorskip("torch")


@pytest.mark.filterwarnings("ignore:fitting .* bits on only:UserWarning")
@pytest.mark.filterwarnings("ignore:skipped .* rows:UserWarning")
@parametrize_with_checks(
    [LocalSearchQuantizer(n_iter=2, n_flips=10)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_estimator_checks(estimator, check):
    check(estimator)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def made(rows):
    return LocalSearchQuantizer(16, random_state=0).fit(rows)


@pytest.mark.parametrize("n_bits", [None, 1, 5, 12, 40])
def test_shapes_whether_fewer_or_more_bits_than_columns(rows, n_bits):
    quantizer = LocalSearchQuantizer(n_bits, random_state=0).fit(rows)
    k = n_bits or 12
    assert quantizer.transform(rows).shape == (300, -(-k // 8))
    assert quantizer.rotate(rows).shape == (300, k)
    assert quantizer.weights_.shape == (12, k)
    assert quantizer.decode(quantizer.transform(rows)).shape == (300, 12)
    assert quantizer.transform(rows).dtype == np.uint8


def test_more_bits_are_nearer(rows):
    errors = [
        LocalSearchQuantizer(k, random_state=0).fit(rows).quantization_error(rows)
        for k in (4, 8, 16, 32)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.1


def test_it_is_nearer_than_a_linear_decoder_of_signs(rows):
    quantizer = LocalSearchQuantizer(12, random_state=0).fit(rows)
    signs = HouseholderQuantizer(12, random_state=0).fit(rows)
    decoder = LinearDecoder(random_state=0).fit(rows, signs.transform(rows))

    def lost(decoded):
        return np.square(unit(rows) - decoded).sum()

    assert lost(quantizer.decode(quantizer.transform(rows))) < 0.9 * lost(
        decoder.decode(signs.transform(rows))
    )
    distortion = quantizer.history_["distortion"]
    assert len(distortion) == 8
    assert distortion[-1] < distortion[0]


def test_no_flip_brings_a_code_nearer(made, rows):
    signs = unpack_signs(made.transform(rows), 16)
    found = np.square(unit(rows) - made.mean_ - signs @ made.weights_.T).sum(axis=1)
    for bit in range(16):
        flipped = signs.copy()
        flipped[:, bit] *= -1
        other = np.square(unit(rows) - made.mean_ - flipped @ made.weights_.T).sum(axis=1)
        assert (other > found - 1e-5).all()


def test_rotated_queries_give_the_score(made, rows):
    codes = made.transform(rows)
    products = made.rotate(rows[:5]) @ unpack_signs(codes, 16).T
    products += unit(rows[:5]) @ made.mean_[:, None]
    expected = products / made.decoder_.lengths(codes) ** made.exponent_
    np.testing.assert_allclose(made.decoder_.scores(rows[:5], codes), expected, atol=1e-5)


def test_the_same_seed_gives_the_same_codes(rows):
    first, second = (
        LocalSearchQuantizer(16, random_state=3).fit(rows).to_bytes() for _ in range(2)
    )
    assert first == second


def test_scaling_rows_changes_no_code(made, rows):
    factors = 2.0 ** np.random.default_rng(0).integers(-300, 300, size=(300, 1))
    np.testing.assert_array_equal(made.transform(rows), made.transform(rows * factors))


def test_a_stream_gives_what_fit_gives(rows, made):
    streamed = clone(made)
    for batch in np.split(rows, [10, 101, 250]):
        streamed.partial_fit(batch)
    assert streamed.to_bytes() == made.to_bytes()
    with pytest.raises(InvalidInputError, match="cannot continue"):
        made.partial_fit(rows)


def test_everything_comes_back_from_a_file(made, rows, tmp_path):
    made.save(tmp_path / "q")
    for restored in (h2q.load(tmp_path / "q"), from_bytes(made.to_bytes())):
        assert type(restored) is LocalSearchQuantizer
        assert restored.get_params() == made.get_params()
        np.testing.assert_array_equal(restored.transform(rows), made.transform(rows))
        np.testing.assert_array_equal(restored.rotate(rows), made.rotate(rows))
        assert restored.exponent_ == made.exponent_
        assert restored.to_bytes() == made.to_bytes()


def test_damaged_files_are_refused_or_read(made):
    data = made.to_bytes()
    for size in (0, 9, 100, len(data) // 2, len(data) - 1):
        with pytest.raises(FormatError):
            from_bytes(data[:size])
    rng = np.random.default_rng(0)
    for _ in range(200):
        broken = bytearray(data)
        broken[rng.integers(len(broken))] ^= 1 << rng.integers(8)
        try:
            from_bytes(bytes(broken))
        except FormatError:
            continue


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_torch_rows_stay_torch(made, rows, dtype):
    given = torch.from_numpy(rows).to(dtype)
    codes = made.transform(given)
    assert isinstance(codes, torch.Tensor)
    assert codes.dtype == torch.uint8
    expected = made.transform(given.numpy())
    assert (codes.numpy() != expected).any(axis=1).mean() < 0.01
    rotated = made.rotate(given)
    np.testing.assert_allclose(rotated.numpy(), made.rotate(given.numpy()), atol=1e-5)
    fitted = clone(made).fit(given)
    assert fitted.transform(given).shape == (300, 2)


@pytest.mark.filterwarnings("ignore:fitting .* bits on only:UserWarning")
@pytest.mark.parametrize("n", [2, 3, 10])
def test_few_rows(n, rows):
    quantizer = LocalSearchQuantizer(16, random_state=0).fit(rows[:n])
    assert quantizer.transform(rows).shape == (300, 2)
    assert np.isfinite(quantizer.decode(quantizer.transform(rows))).all()
    assert quantizer.exponent_ == 0.75


def test_constant_and_repeated_columns_are_no_trouble(rows):
    rows[:, 8:] = 2.5
    rows[:, 3] = rows[:, 2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantizer = LocalSearchQuantizer(24, random_state=0).fit(rows)
    assert quantizer.quantization_error(rows) < 0.1


def test_bad_rows_are_named(made, rows):
    for bad, message in ((np.nan, "row 7 contain"), (0.0, "row 7 is zero")):
        broken = rows.copy()
        broken[7] = bad
        with pytest.raises(InvalidInputError, match=message):
            made.transform(broken)
        with pytest.raises(InvalidInputError, match=message):
            made.rotate(broken)
    with pytest.raises(InvalidInputError, match="one direction"):
        LocalSearchQuantizer(4).fit(np.outer(np.arange(1, 20), np.ones(3)))
    with pytest.raises(InvalidInputError, match="features"):
        made.transform(rows[:, :3])


def test_zero_rows_are_skipped_and_counted_in_fit(rows, made):
    with pytest.warns(UserWarning, match="skipped 2 of 302 rows"):
        quantizer = clone(made).fit(np.insert(rows, [5, 5], 0.0, axis=0))
    np.testing.assert_array_equal(quantizer.transform(rows), made.transform(rows))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_bits": 0}, "n_bits"),
        ({"n_bits": 2.0}, "n_bits"),
        ({"n_iter": -1}, "n_iter"),
        ({"n_flips": 1.5}, "n_flips"),
        ({"gram_shrinkage": 1.5}, "gram_shrinkage"),
        ({"gram_shrinkage": "a"}, "gram_shrinkage"),
        ({"max_samples": 1}, "max_samples"),
    ],
)
def test_parameters_are_checked(rows, settings, message):
    with pytest.raises(InvalidInputError, match=message):
        LocalSearchQuantizer(**{"n_bits": 8, **settings}).fit(rows)


def test_blocks_give_what_the_whole_gives(made, rows, monkeypatch):
    expected = made.transform(rows)
    monkeypatch.setattr(sphere, "BLOCK_ENTRIES", 12 * 7)
    assert (made.transform(rows) != expected).any(axis=1).mean() < 0.01


def test_there_is_no_rotation(made):
    assert not made.codes_are_signs
    for name in ("rotation_", "reflections_", "components_"):
        assert not hasattr(made, name)


@pytest.mark.shared
def test_text_is_found_again(shared):
    """At equal bytes far ahead of the asymmetric score of a rotation."""
    with np.load(shared / "data" / "embeddings_text_minilm.npz") as data:
        base, queries = data["base"][:4000].astype(np.float32), data["query"].astype(np.float32)
    true = np.argsort(-unit(queries) @ unit(base).T, axis=1)[:, :10]

    def recall(scores):
        found = np.argsort(-scores, axis=1)[:, :10]
        return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, true, strict=True)])

    chosen = LocalSearchQuantizer(128, n_iter=4, n_flips=50, random_state=0).fit(base)
    plain = HouseholderQuantizer(128, random_state=0).fit(base)
    signs = unpack_signs(plain.transform(base), 128)
    ours = recall(chosen.decoder_.scores(queries, chosen.transform(base)))
    assert ours > recall(plain.rotate(queries) @ signs.T) + 0.05


@pytest.mark.shared
def test_the_dial_keeps_the_hamming_distance_useful(shared):
    with np.load(shared / "data" / "embeddings_text_minilm.npz") as data:
        base, queries = data["base"][:4000].astype(np.float32), data["query"].astype(np.float32)
    base, queries = base[:2000], queries[:200]
    true = np.argsort(-unit(queries) @ unit(base).T, axis=1)[:, :10]
    found = {}
    for shrinkage in (0.0, 0.35):
        quantizer = LocalSearchQuantizer(
            192, n_iter=4, n_flips=50, gram_shrinkage=shrinkage, random_state=0
        ).fit(base)
        codes, asked = (unpack_signs(quantizer.transform(x), 192) for x in (base, queries))
        near = np.argsort(-asked @ codes.T, axis=1, kind="stable")[:, :20]
        found[shrinkage] = np.mean([len(set(a) & set(b)) for a, b in zip(near, true, strict=True)])
    assert found[0.35] > found[0.0] + 0.5
