"""Seeds, generators, and their way into JSON and back."""

import json

import numpy as np
import pytest

from h2q.errors import InvalidInputError
from h2q.quantization.randomness import (
    as_generator,
    pack_random_state,
    random_orthogonal,
    unpack_random_state,
)


def test_an_int_always_gives_the_same_stream():
    assert as_generator(3).random() == as_generator(np.int64(3)).random()


def test_a_generator_is_used_as_it_is():
    generator = np.random.default_rng(0)
    assert as_generator(generator) is generator


def test_a_random_state_moves_on():
    state = np.random.RandomState(0)
    assert as_generator(state).random() != as_generator(state).random()


@pytest.mark.parametrize("wrong", ["0", 1.5, True, -1])
def test_what_is_no_seed_is_refused(wrong):
    with pytest.raises(InvalidInputError, match="random_state"):
        as_generator(wrong)


def test_random_orthogonal_has_both_determinants():
    matrices = [random_orthogonal(3, as_generator(seed)) for seed in range(20)]
    for matrix in matrices:
        np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-12)
    assert {round(np.linalg.det(matrix)) for matrix in matrices} == {-1, 1}


@pytest.mark.parametrize("seed", [None, 0, np.int64(7)])
def test_plain_seeds_go_through_json(seed):
    assert unpack_random_state(json.loads(json.dumps(pack_random_state(seed)))) == seed


@pytest.mark.parametrize(
    "make",
    [
        np.random.default_rng,
        np.random.RandomState,
        lambda seed: np.random.Generator(np.random.MT19937(seed)),
        lambda seed: np.random.Generator(np.random.Philox(seed)),
    ],
    ids=["pcg64", "random-state", "mt19937", "philox"],
)
def test_live_generators_go_through_json_with_their_position(make):
    state = make(5)
    state.normal(size=3)
    restored = unpack_random_state(json.loads(json.dumps(pack_random_state(state))))
    assert type(restored) is type(state)
    np.testing.assert_array_equal(restored.normal(size=4), state.normal(size=4))


def test_a_file_cannot_name_another_class():
    packed = {"kind": "Generator", "state": {"bit_generator": "seterr"}}
    with pytest.raises(ValueError, match="seterr"):
        unpack_random_state(packed)
