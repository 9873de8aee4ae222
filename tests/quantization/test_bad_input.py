"""Each bad input is a clear error or a counted skip."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from h2q import (
    HouseholderQuantizer,
    ITQQuantizer,
    LocalSearchQuantizer,
    RandomRotationQuantizer,
    SignQuantizer,
)
from h2q.errors import InvalidInputError

LEARNING = [ITQQuantizer, HouseholderQuantizer]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_name_their_rows(quantizer_class, rows, bad):
    broken = rows.copy()
    broken[[3, 250], [0, 5]] = bad
    with pytest.raises(InvalidInputError, match=r"rows 3, 250 contain NaN or infinity"):
        quantizer_class(random_state=0).fit(broken)
    quantizer = quantizer_class(random_state=0).fit(rows)
    for method in (quantizer.transform, quantizer.rotate, quantizer.quantization_error):
        with pytest.raises(InvalidInputError, match=r"rows 3, 250 contain NaN or infinity"):
            method(broken)


def test_nan_is_found_outside_the_sample(rows):
    rows[299, 0] = np.nan
    for seed in range(3):
        with pytest.raises(InvalidInputError, match="row 299"):
            SignQuantizer(max_samples=10, random_state=seed).fit(rows)


@pytest.mark.filterwarnings("ignore:skipped 300 of 300 rows:UserWarning")
@pytest.mark.parametrize("n_bits", [None, 8])
def test_a_failed_fit_leaves_the_quantizer_as_it_was(quantizer_class, rows, n_bits):
    quantizer = quantizer_class(n_bits, random_state=0).fit(rows)
    before = quantizer.to_bytes()
    for wrong in (rows[:, :9] * np.nan, rows[:, :9] * 0, rows[:, :5] + 1j):
        with pytest.raises(InvalidInputError):
            quantizer.fit(wrong)
    assert quantizer.to_bytes() == before
    assert quantizer.transform(rows).shape[0] == 300


def test_many_bad_rows_are_counted_not_listed(rows):
    rows[:50] = np.nan
    with pytest.raises(InvalidInputError, match=r"rows 0, 1, .*, 9 and 40 more contain"):
        SignQuantizer().fit(rows)


def test_zero_rows_are_skipped_and_counted_in_fit(quantizer_class, rows):
    with_zeros = np.insert(rows, [5, 5, 100], 0.0, axis=0)
    quantizer = quantizer_class(random_state=0)
    with pytest.warns(UserWarning, match="skipped 3 of 303 rows"):
        quantizer.fit(with_zeros)
    expected = quantizer_class(random_state=0).fit(rows).transform(rows)
    np.testing.assert_array_equal(quantizer.transform(rows), expected)


def test_zero_rows_are_named_in_transform(quantizer_class, rows):
    quantizer = quantizer_class(random_state=0).fit(rows)
    rows[[7, 9]] = 0
    with pytest.raises(InvalidInputError, match=r"rows 7, 9 are zero and so without a direction"):
        quantizer.transform(rows)


def test_with_a_projection_only_the_mean_has_no_direction(quantizer_class, rows):
    quantizer = quantizer_class(4, random_state=0).fit(rows)
    assert quantizer.transform(np.zeros((1, 12))).shape == (1, 1)
    with pytest.raises(InvalidInputError, match="row 0 is zero after centring"):
        quantizer.transform(quantizer.mean_[None, :])


def test_nothing_but_zeros(quantizer_class):
    with (
        pytest.warns(UserWarning, match="skipped 4 of 4"),
        pytest.raises(InvalidInputError, match=r"at least \d rows that are not zero"),
    ):
        quantizer_class(random_state=0).fit(np.zeros((4, 3)))


@pytest.mark.parametrize("quantizer_class", LEARNING)
def test_one_row_is_too_few_to_learn_from(quantizer_class):
    with pytest.raises(InvalidInputError, match=r"at least 2 rows.*n_samples=1"):
        quantizer_class(random_state=0).fit(np.ones((1, 4)))


@pytest.mark.parametrize("quantizer_class", [SignQuantizer, RandomRotationQuantizer])
def test_one_row_is_enough_where_nothing_is_learned(quantizer_class):
    assert quantizer_class(random_state=0).fit_transform(np.ones((1, 4))).shape == (1, 1)


@pytest.mark.parametrize("quantizer_class", LEARNING)
def test_fewer_rows_than_bits_warn(quantizer_class, rows):
    quantizer = quantizer_class(random_state=0)
    with pytest.warns(UserWarning, match="12 bits on only 5 rows"):
        quantizer.fit(rows[:5])
    rotation = quantizer.rotation_
    np.testing.assert_allclose(rotation.T @ rotation, np.eye(12), atol=1e-10)


def test_fewer_rows_than_bits_cannot_be_projected(quantizer_class, rows):
    with pytest.raises(InvalidInputError, match=r"PCA to 8 bits needs at least 8 rows.*=5"):
        quantizer_class(8, random_state=0).fit(rows[:5])


@pytest.mark.parametrize("n_bits", [None, 4])
def test_constant_columns_are_no_trouble(quantizer_class, rows, n_bits):
    rows[:, 8:] = 2.5
    quantizer = quantizer_class(n_bits, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(quantizer.fit(rows).rotate(rows)).all()


def test_equal_rows_cannot_be_projected(quantizer_class):
    with pytest.raises(InvalidInputError, match="all equal"):
        quantizer_class(2, random_state=0).fit(np.full((20, 4), 1.5))


def test_more_bits_than_columns(quantizer_class, rows):
    with pytest.raises(InvalidInputError, match=r"n_bits=16 is more than the 12 columns"):
        quantizer_class(16).fit(rows)


@pytest.mark.parametrize("n_bits", [0, -1, 2.0, True, "8"])
def test_n_bits_that_is_no_count(quantizer_class, rows, n_bits):
    with pytest.raises(InvalidInputError, match="n_bits must be a whole number"):
        quantizer_class(n_bits).fit(rows)


@pytest.mark.parametrize("max_samples", [1, 10.5, None])
def test_max_samples_that_is_no_count(quantizer_class, rows, max_samples):
    with pytest.raises(InvalidInputError, match="max_samples"):
        quantizer_class(max_samples=max_samples).fit(rows)


def test_a_wrong_width_names_both(quantizer_class, rows):
    quantizer = quantizer_class(random_state=0).fit(rows)
    with pytest.raises(InvalidInputError, match=r"has 5 features, but .* expecting 12"):
        quantizer.transform(rows[:, :5])


def test_not_fitted(quantizer_class, rows):
    for use in (lambda q: q.transform(rows), lambda q: q.rotation_, lambda q: q.to_bytes()):
        with pytest.raises(NotFittedError, match="call fit"):
            use(quantizer_class())


def test_names_of_solvers_and_objectives_are_checked_before_the_rows(rows):
    for settings, message in (
        ({"solver": "sdg"}, "did you mean 'sgd'"),
        ({"objective": "l3"}, "unknown objective"),
        ({"solver_options": {"steps": 3}}, "no option"),
        ({"random_state": "one"}, "random_state"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            HouseholderQuantizer(**settings).fit(rows)


@pytest.mark.parametrize("objective", ["l1", "min_entry", "bit_variance"])
@pytest.mark.parametrize("solver", ["graduated", "procrustes"])
def test_solvers_of_one_objective_say_which_takes_all(rows, solver, objective):
    with pytest.raises(InvalidInputError, match="sgd"):
        HouseholderQuantizer(solver=solver, objective=objective).fit(rows)


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
)
def test_integers_are_rows_like_any_other(quantizer_class, rows, dtype):
    integers = np.abs(np.round(rows * 3)).clip(0, 100).astype(dtype)
    integers[:, 0] = 1
    quantizer = quantizer_class(random_state=0).fit(integers)
    expected = quantizer_class(random_state=0).fit(integers.astype(quantizer.rotation_.dtype))
    np.testing.assert_array_equal(
        quantizer.transform(integers), expected.transform(integers.astype(np.float64))
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((0, 3)), "0 sample"),
        (np.zeros((3, 0)), "0 feature"),
        (np.zeros(3), "2D array"),
        (np.zeros((2, 3, 4)), r"dim 3|<= 2"),
        (np.ones((3, 3)) * 1j, "[Cc]omplex"),
        ([["a", "b"], ["c", "d"]], "convert|numeric"),
    ],
    ids=["no-rows", "no-columns", "1d", "3d", "complex", "strings"],
)
def test_what_is_not_rows(quantizer_class, wrong, message):
    with pytest.raises(InvalidInputError, match=message):
        quantizer_class().fit(wrong)


@pytest.mark.parametrize("kind", [HouseholderQuantizer, LocalSearchQuantizer, SignQuantizer])
def test_absurd_lengths_of_codes_are_refused_at_once(kind, rows):
    for n_bits in (10**9, 2**63, np.int64(10**12)):
        with pytest.raises(InvalidInputError, match="n_bits"):
            kind(n_bits).fit(rows)


def test_the_longest_code_says_why(rows):
    with pytest.raises(InvalidInputError, match=r"at most 16,384, got 16,385.*memory"):
        LocalSearchQuantizer(16_385).fit(rows)
