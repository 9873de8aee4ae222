"""DCH against its likelihood."""

from __future__ import annotations

import math

import pytest
import torch

from h2q.learning.losses import DCHLoss


@pytest.mark.parametrize("gamma", [2.0, 10.0])
def test_weighted_negative_log_likelihood(multi_label, mean_over_pairs, gamma):
    z, labels = multi_label

    def cost(pair, weight):
        d = 6 / 2 * (1 - pair.cosine)
        probability = gamma / (gamma + d)
        return -weight * math.log(probability if pair.similar else 1 - probability)

    loss = DCHLoss(n_bits=6, gamma=gamma)
    expected = mean_over_pairs(z, labels, cost)
    assert float(loss(z, labels)) == pytest.approx(expected, rel=1e-3)  # DCH keeps d off 0


def test_given_share_of_similar_pairs():
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    loss = DCHLoss(n_bits=2, gamma=1.0, similar_probability=0.2)
    assert float(loss(z, torch.ones(2, 1))) == pytest.approx(5 * math.log(2), rel=1e-4)
    assert float(loss(z, torch.eye(2))) == pytest.approx(1.25 * math.log(2), rel=1e-4)


def test_dissimilar_items_of_one_direction_have_a_finite_cost():
    loss = DCHLoss(n_bits=32)
    z = torch.ones(2, 32, requires_grad=True)
    value = loss(z, torch.eye(2))
    value.backward()
    assert 5 < value.item() < 20
    assert z.grad.isfinite().all()
