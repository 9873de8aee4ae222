"""WGLHH against its formula."""

from __future__ import annotations

import math

import pytest
import torch

from h2q.errors import InvalidInputError
from h2q.learning.losses import WGLHHLoss


def divergence(p: float, s: float, theta: float) -> float:
    first = p * math.log(theta * p / ((theta - 1) * p + s))
    return first + (s * math.log(theta * s / ((theta - 1) * s + p)) if s else 0.0)


@pytest.mark.parametrize(("alpha", "theta"), [(0.1, 2.0), (0.3, 3.0)])
def test_formula(multi_label, mean_over_pairs, alpha, theta):
    z, labels = multi_label

    def cost(pair, weight):
        p = math.exp(-alpha * (3 * (1 - pair.cosine)) ** 2)
        attention = math.exp(abs(0.5 * (1 + pair.cosine) - pair.similar))
        return weight * attention * divergence(p, float(pair.similar), theta)

    loss = WGLHHLoss(n_bits=6, alpha=alpha, theta=theta)
    assert float(loss(z, labels)) == pytest.approx(mean_over_pairs(z, labels, cost), rel=1e-7)


def test_similar_pairs_far_apart_still_have_a_gradient():
    # A Gaussian this sharp vanishes at d = 32; the attention goes on pulling.
    z = torch.tensor([[1.0] * 64, [1.0] * 32 + [-1.0] * 32], requires_grad=True)
    WGLHHLoss(n_bits=64, alpha=0.1)(z, torch.ones(2, 1)).backward()
    assert z.grad.isfinite().all()
    assert z.grad.abs().max() > 1e-3


def test_default_sharpness_is_that_of_16_bits_in_the_cosine():
    z = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    for labels in (torch.eye(2), torch.ones(2, 1)):
        values = [WGLHHLoss(n_bits=k)(z, labels) for k in (16, 64)]
        assert torch.isclose(values[0], WGLHHLoss(n_bits=16, alpha=0.1)(z, labels))
        assert torch.isclose(values[0], values[1])


def test_never_negative(multi_label):
    z, labels = multi_label
    assert WGLHHLoss(n_bits=6)(z, labels) > 0


def test_theta_must_exceed_one():
    with pytest.raises(InvalidInputError, match="theta"):
        WGLHHLoss(n_bits=6, theta=1.0)
