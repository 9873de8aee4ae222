import pytest

from h2q.experiments.intervals import paired_difference
from h2q.experiments.results import Result
from h2q.experiments.summary import Case, bound, cells, chosen_weights

CASE = Case("cifar10", "alexnet", "cel", 16)


def test_lambda_is_chosen_on_validation_though_another_is_better_on_queries(
    small_run: list[Result],
) -> None:
    assert set(chosen_weights(small_run).values()) == {0.1}
    cell = cells(small_run, metric="mAP", ranking="hamming")[CASE]["penalty"]
    assert cell.weight == 0.1
    assert cell.mean == pytest.approx(0.5 + 0.016 + 0.005 + 0.01)


def test_a_lambda_with_fewer_seeds_does_not_compete(make_result) -> None:
    penalised = {"quantization": "hswd", "split": "validation"}
    results = [
        make_result(**penalised, penalty_weight=0.1, seed=0, value=0.5),
        make_result(**penalised, penalty_weight=0.1, seed=1, value=0.5),
        make_result(**penalised, penalty_weight=1.0, seed=0, value=0.9),
    ]
    assert chosen_weights(results) == {(CASE, "hswd"): 0.1}


def test_a_cell_is_mean_and_sample_deviation_over_seeds(small_run: list[Result]) -> None:
    cell = cells(small_run, metric="mAP", ranking="hamming")[CASE]["itq"]
    assert dict(cell.by_seed) == pytest.approx({0: 0.546, 1: 0.556})
    assert cell.mean == pytest.approx(0.551)
    assert cell.spread == pytest.approx(0.01 / 2**0.5)


def test_one_seed_has_no_spread(make_result) -> None:
    found = cells([make_result()], metric="mAP", ranking="hamming")
    assert found[CASE]["none"].spread is None


def test_map_within_a_radius_is_not_taken_for_map(make_result) -> None:
    results = [make_result(), make_result(metric="mAP@r<=2", value=0.1)]
    assert cells(results, metric="mAP", ranking="hamming")[CASE]["none"].mean == 0.5


def test_the_bound_is_the_cosine_of_the_plain_training(small_run: list[Result]) -> None:
    assert {cell.mean for cell in bound(small_run).values()} == {0.9}


def test_a_paired_difference_of_a_constant_gain_is_that_gain(small_run: list[Result]) -> None:
    found = paired_difference(small_run, "h2q", "itq")
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((0.02, 0.02, 0.02))
    assert (found.n_cases, found.n_pairs, found.wins) == (4, 8, 1.0)


def test_the_interval_covers_the_mean_of_noise_as_often_as_it_says(make_result) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        results = []
        for bits in range(1, 31):
            shift = rng.normal(0.01, 0.02)
            for seed in range(3):
                base, noise = rng.uniform(), rng.normal(0, 0.01)
                here = {"bits": bits, "seed": seed}
                results.append(make_result(**here, value=base))
                results.append(make_result(**here, quantization="itq", value=base + shift + noise))
        found = paired_difference(results, "itq", "none", draws=500)
        assert found is not None
        covered += found.low <= 0.01 <= found.high
    assert 50 <= covered <= 60  # 95 % of 60 is 57


def test_pairs_are_made_only_where_both_were_measured(make_result) -> None:
    results = [
        make_result(seed=0, value=0.5),
        make_result(seed=1, value=0.9),
        make_result(seed=0, quantization="itq", value=0.4),
    ]
    found = paired_difference(results, "itq", "none")
    assert found is not None
    assert (found.n_pairs, found.mean, found.wins) == (1, pytest.approx(-0.1), 0.0)
    assert paired_difference(results, "h2q", "none") is None
