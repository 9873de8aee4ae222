"""DPSH and DHN against their likelihoods."""

from __future__ import annotations

import math

import pytest
import torch

from h2q.learning.losses import DHNLoss, DPSHLoss


@pytest.mark.parametrize(("loss", "slope"), [(DPSHLoss(), 0.5), (DHNLoss(), 1.0)])
def test_negative_log_likelihood(multi_label, mean_over_pairs, loss, slope):
    z, labels = multi_label

    def cost(pair, _weight):
        probability = 1 / (1 + math.exp(-slope * pair.inner))
        return -math.log(probability if pair.similar else 1 - probability)

    assert float(loss(z, labels)) == pytest.approx(mean_over_pairs(z, labels, cost), rel=1e-9)


@pytest.mark.parametrize("loss", [DPSHLoss(), DHNLoss()])
def test_large_inner_products_do_not_overflow(loss):
    z = torch.full((2, 64), 30.0)
    assert float(loss(z, torch.ones(2, 1))) == 0.0
    assert float(loss(z, torch.eye(2))) == pytest.approx(
        64 * 900 * (0.5 if isinstance(loss, DPSHLoss) else 1.0)
    )
