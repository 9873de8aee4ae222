"""ADSH: the objective by loops, the column update against brute force, the driver's protocol."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch

from h2q.errors import InvalidInputError
from h2q.learning.losses import ADSHLoss
from h2q.learning.losses.adsh import balancing_target, signed_similarity, update_codes


def problem(n=7, m=4, k=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(n, 3, generator=generator) < 0.5).double()
    rows = torch.randperm(n, generator=generator)[:m]
    u = torch.randn(m, k, generator=generator, dtype=torch.float64).tanh()
    v = torch.randint(0, 2, (n, k), generator=generator).double() * 2 - 1
    return labels, rows, u, v


def objective(v, u, rows, labels, gamma, negative=-1):
    """J by plain loops."""
    k = v.shape[1]
    total = 0.0
    for i, row in enumerate(rows.tolist()):
        for j in range(len(v)):
            s = 1 if any((labels[row] * labels[j]).tolist()) else negative
            inner = math.fsum((u[i] * v[j]).tolist())
            total += (inner - k * s) ** 2
        total += gamma * math.fsum(((v[row] - u[i]) ** 2).tolist())
    return total


@pytest.mark.parametrize("gamma", [0.5, 200.0])
@pytest.mark.parametrize("balanced", [True, False])
def test_loss_is_the_objective_over_rows_and_size(gamma, balanced):
    labels, rows, u, _ = problem()
    labels[:, 0] = 0  # more dissimilar pairs than similar ones
    loss = ADSHLoss(n_bits=3, gamma=gamma, balanced=balanced)
    loss.on_dataset(labels)
    similar = ((labels @ labels.T) > 0).sum().item()
    negative = -min(1.0, similar / (49 - similar)) if balanced else -1
    expected = objective(loss.codes.double(), u, rows, labels, gamma, negative) / (4 * 7)
    value = loss(u.atanh(), labels[rows], indices=rows)
    assert value.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_no_column_update_increases_the_objective(seed):
    labels, rows, u, v = problem(n=12, m=5, k=6, seed=seed)
    s = signed_similarity(labels[rows], labels)
    value = objective(v, u, rows, labels, 2.0)
    for _ in range(4):
        v = update_codes(v, u, rows, s, 2.0)
        after = objective(v, u, rows, labels, 2.0)
        assert after <= value + 1e-9
        value = after
    assert set(v.unique().tolist()) <= {-1.0, 1.0}


@pytest.mark.parametrize("seed", range(5))
def test_one_column_is_the_optimum_of_all_columns(seed):
    # With one bit a pass is one column, and the update must be the best of all 2^n codes.
    labels, rows, u, v = problem(n=8, m=5, k=1, seed=seed)
    s = signed_similarity(labels[rows], labels)
    found = objective(update_codes(v, u, rows, s, 1.5), u, rows, labels, 1.5)
    best = min(
        objective(torch.tensor(c, dtype=torch.float64)[:, None], u, rows, labels, 1.5)
        for c in itertools.product((-1.0, 1.0), repeat=8)
    )
    assert found == pytest.approx(best)


@pytest.mark.parametrize("seed", range(3))
def test_fixed_point_is_best_in_each_column_and_near_the_optimum(seed):
    labels, rows, u, v = problem(n=5, m=4, k=2, seed=seed)
    s = signed_similarity(labels[rows], labels)
    for _ in range(10):
        v = update_codes(v, u, rows, s, 1.0)
    value = objective(v, u, rows, labels, 1.0)
    codes = [torch.tensor(c, dtype=torch.float64) for c in itertools.product((-1.0, 1.0), repeat=5)]
    for column in range(2):
        for code in codes:
            other = v.clone()
            other[:, column] = code
            assert objective(other, u, rows, labels, 1.0) >= value - 1e-9
    best = min(
        objective(torch.stack([a, b], dim=1), u, rows, labels, 1.0) for a in codes for b in codes
    )
    assert best - 1e-9 <= value <= 1.25 * best


def test_alternation_learns_codes_that_separate_classes():
    generator = torch.Generator().manual_seed(0)
    classes = torch.arange(120) % 4
    labels = torch.nn.functional.one_hot(classes).float()
    x = labels @ torch.randn(4, 10, generator=generator)
    x = x + 0.3 * torch.randn(120, 10, generator=generator)
    layer = torch.nn.Linear(10, 8)
    loss = ADSHLoss(n_bits=8, n_sampled=60, inner_epochs=2)
    loss.on_dataset(labels)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for epoch in range(16):
        rows = loss.epoch_rows(epoch)
        for batch in rows.split(20):
            optimizer.zero_grad()
            loss(layer(x[batch]), labels[batch], indices=batch).backward()
            optimizer.step()
        rows = loss.rows_to_embed(epoch)
        if rows is not None:
            with torch.no_grad():
                loss.on_epoch_end(layer(x[rows]), rows)
    inner = layer(x).sign() @ loss.codes.T
    similar = labels @ labels.T > 0
    assert inner[similar].mean() > 6
    assert inner[~similar].mean() < 1


def test_driver_protocol():
    loss = ADSHLoss(n_bits=4, n_sampled=5, inner_epochs=3)
    loss.on_dataset(torch.eye(3).repeat(4, 1))
    first = [loss.epoch_rows(e) for e in range(6)]
    assert all(torch.equal(first[0], rows) for rows in first[:3])
    assert not torch.equal(first[0], first[3])
    assert first[0].unique().numel() == 5
    assert [loss.rows_to_embed(e) is not None for e in range(6)] == [0, 0, 1, 0, 0, 1]
    assert torch.equal(loss.rows_to_embed(2), first[0])


def test_all_rows_when_there_are_few():
    loss = ADSHLoss(n_bits=4)
    loss.on_dataset(torch.eye(3))
    assert loss.epoch_rows(0) is None
    assert loss.rows_to_embed(2).tolist() == [0, 1, 2]


def test_codes_survive_a_checkpoint():
    labels, rows, u, _ = problem()
    loss = ADSHLoss(n_bits=3)
    loss.on_dataset(labels)
    loss.on_epoch_end(u, rows)
    state = copy.deepcopy(loss.state_dict())
    resumed = ADSHLoss(n_bits=3, random_state=9)
    resumed.on_dataset(labels)
    resumed.load_state_dict(state)
    assert torch.equal(resumed.codes, loss.codes)
    assert resumed(u, labels[rows], indices=rows) == loss(u, labels[rows], indices=rows)


def test_without_the_data_set_it_says_what_to_call():
    loss = ADSHLoss(n_bits=3)
    with pytest.raises(InvalidInputError, match="on_dataset"):
        loss(torch.ones(2, 3), torch.eye(2), indices=torch.arange(2))
    with pytest.raises(InvalidInputError, match="multi-hot"):
        loss.on_dataset(torch.arange(3))


def test_balanced_targets_have_mean_zero():
    labels = torch.eye(10).repeat(3, 1)
    negative = balancing_target(labels, block=7)
    assert negative == pytest.approx(-1 / 9)
    assert signed_similarity(labels, labels, negative).mean().item() == pytest.approx(0, abs=1e-6)


def test_no_target_is_below_the_papers():
    assert balancing_target(torch.ones(4, 1)) == -1.0
    assert balancing_target(torch.tensor([[1.0, 0], [1, 0], [1, 0], [0, 1]])) == -1.0
