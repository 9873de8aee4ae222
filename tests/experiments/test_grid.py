import pytest

from h2q.errors import InvalidInputError
from h2q.experiments import PRESETS, Grid, Source, make_grid
from h2q.experiments.quantizers import POST_HOC, QUANTIZATIONS


def test_every_combination_comes_once_and_the_first_seed_comes_first() -> None:
    grid = Grid(
        losses=("cel", "dch"),
        bits=(16, 32),
        seeds=(0, 1),
        quantizations=("none", "h2q", "penalty"),
        weights=(0.1, 1.0),
    )
    trainings = list(grid.trainings())
    plain = [t for t in trainings if t.penalty == "none"]
    assert len(set(trainings)) == len(trainings) == 2 * 2 * 2 * (1 + 2)
    assert trainings[: len(plain)] == plain
    assert [t.seed for t in plain] == sorted(t.seed for t in plain)
    assert {t.penalty_weight for t in trainings if t.penalty == "penalty"} == {0.1, 1.0}


def test_a_penalised_training_is_judged_by_its_own_quantization_alone() -> None:
    grid = Grid(quantizations=("none", "itq", "hswd"), weights=(0.1,))
    judged = {t.penalty: grid.quantizations_of(t) for t in grid.trainings()}
    assert judged == {"none": ("none", "itq"), "hswd": ("hswd",)}


def test_a_grid_of_penalties_alone_has_no_plain_training() -> None:
    grid = Grid(quantizations=("penalty",))
    assert {t.penalty for t in grid.trainings()} == {"penalty"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quantizations": ("itx",)}, "did you mean 'itq'"),
        ({"bits": ()}, "no bits"),
        ({"bits": (0,)}, "at least 1"),
        ({"losses": ("cel", "cel")}, "twice"),
        ({"weights": (0.0,)}, "above 0"),
        ({"datasets": (Source("a", "digits"), Source("a", "npz:x.npz"))}, "same name"),
        ({"top": 0}, "top"),
    ],
)
def test_a_grid_that_cannot_be_run_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        make_grid("digits", **changes)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'frozen'"):
        make_grid("frosen")


def test_presets_can_be_listed_and_the_paper_has_its_size() -> None:
    for grid in PRESETS.values():
        assert list(grid.trainings())
    paper = PRESETS["paper"]
    plain = [t for t in paper.trainings() if t.penalty == "none"]
    assert len(plain) == 4 * 2 * 8 * 4 * 4  # data sets, backbones, losses, bits, seeds


@pytest.mark.parametrize("text", ["=x", "name=", "a/b=c", "a b=c"])
def test_a_source_needs_a_name_and_a_spec(text: str) -> None:
    with pytest.raises(InvalidInputError, match="NAME=SPEC"):
        Source.parse(text)


def test_a_source_without_a_name_is_called_after_its_kind() -> None:
    assert Source.parse("cifar10:some/where") == Source("cifar10", "cifar10:some/where")


def test_every_quantization_makes_an_estimator_of_its_own_settings() -> None:
    for name in POST_HOC:
        first, second = (QUANTIZATIONS[name].estimator(seed=3) for _ in range(2))
        assert first is not second
        assert first.get_params() == second.get_params()
    assert QUANTIZATIONS["h2q-bitvar"].estimator(0).get_params()["objective"] == "bit_variance"
