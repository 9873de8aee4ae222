"""What every quantizer does with rows: fit, rotate, code, measure, stream."""

import numpy as np
import pytest
from sklearn.base import clone

from h2q import HouseholderQuantizer, ITQQuantizer, SignQuantizer, codes
from h2q.errors import InvalidInputError
from h2q.quantization import sphere
from h2q.quantization.reflections import orthogonal_from_reflections


def cosines(rows):
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


@pytest.mark.parametrize("n_bits", [None, 12, 5])
def test_codes_are_the_signs_of_the_rotated_rows(quantizer_class, rows, n_bits):
    quantizer = quantizer_class(n_bits, random_state=0).fit(rows)
    k = n_bits or 12
    rotated = quantizer.rotate(rows)
    assert rotated.shape == (300, k)
    assert quantizer.n_bits_ == k
    assert quantizer.n_samples_seen_ == 300
    np.testing.assert_allclose(np.linalg.norm(rotated, axis=1), np.sqrt(k))
    packed = quantizer.transform(rows)
    assert packed.dtype == np.uint8
    np.testing.assert_array_equal(codes.unpack(packed, k), rotated > 0)
    error = ((np.abs(rotated) - 1) ** 2).mean()
    assert quantizer.quantization_error(rows) == pytest.approx(error)


def test_the_rotation_is_orthogonal_and_the_product_of_its_reflections(quantizer_class, rows):
    quantizer = quantizer_class(random_state=0).fit(rows)
    rotation = quantizer.rotation_
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(12), atol=1e-12)
    product = orthogonal_from_reflections(quantizer.reflections_)
    np.testing.assert_allclose(product, rotation, atol=1e-12)


def test_without_projection_inner_products_are_kept(quantizer_class, rows):
    quantizer = quantizer_class(random_state=0).fit(rows)
    assert quantizer.mean_ is None
    assert quantizer.components_ is None
    np.testing.assert_allclose(cosines(quantizer.rotate(rows)), cosines(rows), atol=1e-12)


def test_with_projection_rows_are_centred(quantizer_class, rows):
    quantizer = quantizer_class(5, random_state=0).fit(rows)
    np.testing.assert_allclose(quantizer.mean_, rows.mean(axis=0))
    z = (rows - quantizer.mean_) @ quantizer.components_.T
    z *= np.sqrt(5) / np.linalg.norm(z, axis=1, keepdims=True)
    np.testing.assert_allclose(quantizer.rotate(rows), z @ quantizer.rotation_, atol=1e-12)


def test_scaling_rows_changes_no_code(quantizer_class, rows):
    factors = 10.0 ** np.random.default_rng(0).uniform(-150, 150, size=(300, 1))
    quantizer = quantizer_class(random_state=0).fit(rows)
    np.testing.assert_array_equal(quantizer.transform(rows), quantizer.transform(rows * factors))
    np.testing.assert_allclose(quantizer.rotate(rows), quantizer.rotate(rows * factors))


def test_learning_lowers_the_error(rows):
    error = {
        quantizer: quantizer(random_state=0).fit(rows).quantization_error(rows)
        for quantizer in (SignQuantizer, ITQQuantizer, HouseholderQuantizer)
    }
    assert error[HouseholderQuantizer] < error[SignQuantizer]
    assert error[ITQQuantizer] < error[SignQuantizer]


@pytest.mark.parametrize("solver", ["graduated", "procrustes", "sgd"])
def test_the_same_seed_gives_the_same_codes(rows, solver):
    options = {"n_epochs": 3} if solver == "sgd" else None
    quantizer = HouseholderQuantizer(solver=solver, solver_options=options, random_state=4)
    first, second = clone(quantizer).fit_transform(rows), clone(quantizer).fit_transform(rows)
    np.testing.assert_array_equal(first, second)


def test_a_live_generator_moves_on(rows):
    generator = np.random.default_rng(0)
    first = ITQQuantizer(random_state=generator).fit(rows).rotation_
    second = ITQQuantizer(random_state=generator).fit(rows).rotation_
    assert np.abs(first - second).max() > 0.1


@pytest.mark.parametrize("n_bits", [None, 5])
@pytest.mark.parametrize("batch", [1, 7, 300])
def test_a_stream_that_fits_gives_what_fit_gives(quantizer_class, rows, n_bits, batch):
    fitted = quantizer_class(n_bits, random_state=0).fit(rows)
    streamed = quantizer_class(n_bits, random_state=0)
    for start in range(0, len(rows), batch):
        streamed.partial_fit(rows[start : start + batch])
    np.testing.assert_array_equal(streamed.rotation_, fitted.rotation_)
    np.testing.assert_array_equal(streamed.transform(rows), fitted.transform(rows))
    assert streamed.n_samples_seen_ == 300


@pytest.mark.parametrize("n_bits", [None, 5])
def test_a_longer_stream_gives_what_fit_gives(quantizer_class, rows, n_bits):
    fitted = quantizer_class(n_bits, max_samples=100, random_state=0).fit(rows)
    streamed = clone(fitted)
    for batch in np.split(rows, [10, 101, 250]):
        streamed.partial_fit(batch)
    np.testing.assert_allclose(streamed.rotation_, fitted.rotation_, atol=1e-8)
    np.testing.assert_array_equal(streamed.transform(rows), fitted.transform(rows))


def test_a_stream_is_solved_once_and_when_needed(rows, monkeypatch):
    quantizer = ITQQuantizer(random_state=0)
    solved = []
    find = ITQQuantizer._find_rotation
    monkeypatch.setattr(
        ITQQuantizer, "_find_rotation", lambda *args: solved.append(1) or find(*args)
    )
    for batch in np.split(rows, 10):
        quantizer.partial_fit(batch)
    assert solved == []
    quantizer.transform(rows)
    quantizer.rotate(rows)
    assert len(solved) == 1
    quantizer.partial_fit(rows)
    quantizer.transform(rows)
    assert len(solved) == 2


def test_a_bad_batch_leaves_the_stream_as_it_was(rows):
    quantizer = ITQQuantizer(random_state=0).partial_fit(rows[:200])
    bad = rows[:3].copy()
    bad[1, 0] = np.nan
    with pytest.raises(InvalidInputError, match="row 1 contain"):
        quantizer.partial_fit(bad)
    with pytest.raises(InvalidInputError, match="features"):
        quantizer.partial_fit(rows[:, :3])
    quantizer.partial_fit(rows[200:])
    expected = ITQQuantizer(random_state=0).fit(rows).rotation_
    np.testing.assert_array_equal(quantizer.rotation_, expected)


def test_partial_fit_does_not_silently_forget_what_fit_saw(quantizer_class, rows):
    quantizer = quantizer_class(random_state=0).fit(rows)
    before = quantizer.transform(rows)
    with pytest.raises(InvalidInputError, match="cannot continue"):
        quantizer.partial_fit(rows)
    np.testing.assert_array_equal(quantizer.transform(rows), before)


def test_fit_after_a_stream_starts_again(rows):
    quantizer = ITQQuantizer(random_state=0).partial_fit(rows[:50] * 2)
    expected = ITQQuantizer(random_state=0).fit(rows).rotation_
    np.testing.assert_array_equal(quantizer.fit(rows).rotation_, expected)


@pytest.mark.parametrize("n_bits", [None, 5])
def test_blocks_give_what_the_whole_gives(quantizer_class, rows, n_bits, monkeypatch):
    whole = quantizer_class(n_bits, random_state=0).fit(rows)
    expected = whole.rotate(rows), whole.transform(rows), whole.quantization_error(rows)
    monkeypatch.setattr(sphere, "BLOCK_ENTRIES", 12 * 7)
    blocks = quantizer_class(n_bits, random_state=0).fit(rows)
    np.testing.assert_allclose(blocks.rotate(rows), expected[0], atol=1e-8)
    np.testing.assert_array_equal(blocks.transform(rows), expected[1])
    assert blocks.quantization_error(rows) == pytest.approx(expected[2])
    rows[200, 3] = np.inf
    with pytest.raises(InvalidInputError, match="row 200 contain"):
        blocks.transform(rows)


def test_the_validation_rows_are_those_sgd_chooses_by(rows):
    quantizer = HouseholderQuantizer(solver="sgd", solver_options={"n_epochs": 5}, random_state=0)
    quantizer.fit(rows[:200], X_validation=rows[200:])
    best = min(quantizer.history_["validation_loss"])
    assert quantizer.quantization_error(rows[200:]) == pytest.approx(best)
    assert quantizer.solver_options == {"n_epochs": 5}


def test_codes_name_their_bytes(rows):
    quantizer = SignQuantizer().fit(rows)
    assert list(quantizer.get_feature_names_out()) == ["signquantizer0", "signquantizer1"]


@pytest.mark.shared
@pytest.mark.parametrize("key", ["cel_16", "dch_32"])
def test_real_embeddings(shared, key):
    with np.load(shared / "data" / "embeddings_caltech101.npz") as data:
        split, embeddings = data["split"], data[key]
    train, database = embeddings[split == "train"], embeddings[split == "database"]
    assert train.dtype == np.float16
    error = {}
    for make in (SignQuantizer, ITQQuantizer, HouseholderQuantizer):
        quantizer = make(random_state=0).fit(train)
        error[make] = quantizer.quantization_error(train)
        assert quantizer.transform(database).shape == (len(database), int(key[-2:]) // 8)
    assert error[HouseholderQuantizer] < error[ITQQuantizer] < error[SignQuantizer]
