"""HashNet against its formula, and its schedule."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from h2q.learning.losses import HashNetLoss


@pytest.mark.parametrize("epoch", [0, 7])
def test_formula(multi_label, mean_over_pairs, epoch):
    z, labels = multi_label
    loss = HashNetLoss(n_bits=6)
    loss.on_epoch_start(epoch, 10)
    beta = math.sqrt(1 + 50 * epoch / 10)
    alpha = 10 / 6

    def cost(pair, weight):
        gi = [math.tanh(beta * x) for x in pair.zi]
        gj = [math.tanh(beta * x) for x in pair.zj]
        inner = alpha * sum(a * b for a, b in zip(gi, gj, strict=True))
        if pair.similar:
            shared = sum(a * b for a, b in zip(pair.yi, pair.yj, strict=True))
            either = sum(max(a, b) for a, b in zip(pair.yi, pair.yj, strict=True))
            weight *= shared / either
        return weight * (math.log1p(math.exp(inner)) - pair.similar * inner)

    assert float(loss(z, labels)) == pytest.approx(mean_over_pairs(z, labels, cost), rel=1e-9)


def test_continuation_goes_from_one_to_seven():
    loss = HashNetLoss(n_bits=16)
    betas = []
    for epoch in range(20):
        loss.on_epoch_start(epoch, 20)
        betas.append(loss.beta)
    assert betas[0] == 1
    assert all(a < b for a, b in pairwise(betas))
    assert 6.5 < betas[-1] < 7.2


def test_late_epochs_see_nearly_the_signs(multi_label):
    z, labels = multi_label
    late, signs = HashNetLoss(n_bits=6, growth=1e8), HashNetLoss(n_bits=6, growth=1e8)
    for loss in (late, signs):
        loss.on_epoch_start(9, 10)
    assert torch.isclose(late(z, labels), signs(1e3 * z.sign(), labels), rtol=1e-6)
