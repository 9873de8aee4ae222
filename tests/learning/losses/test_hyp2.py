"""HyP² against its formula, and its proxies."""

from __future__ import annotations

import math

import pytest
import torch

from h2q.errors import InvalidInputError
from h2q.learning.losses import HyP2Loss


def cosine(a, b):
    dot = math.fsum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(math.fsum(x * x for x in a) * math.fsum(x * x for x in b))


@pytest.mark.parametrize("beta", [0.0, 1.25])
def test_formula(multi_label, beta):
    z, labels = multi_label
    loss = HyP2Loss(n_bits=6, n_classes=4, beta=beta, separation=0.1, random_state=1).double()
    rows, marks, proxies = z.tolist(), labels.tolist(), loss.proxies.tolist()
    pull, push, apart = [], [], []
    for row, mark in zip(rows, marks, strict=True):
        for proxy, present in zip(proxies, mark, strict=True):
            c = cosine(row, proxy)
            if present:
                pull.append(1 - c)
            else:
                push.append(max(0.0, c - 0.1))
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            if not any(a and b for a, b in zip(marks[i], marks[j], strict=True)):
                apart.append(max(0.0, cosine(rows[i], rows[j]) - 0.1))
    expected = sum(pull) / len(pull) + sum(push) / len(push) + beta * sum(apart) / len(apart)
    assert loss(z, labels).item() == pytest.approx(expected, rel=1e-7)


def test_proxies_are_learned_at_their_own_rate():
    loss = HyP2Loss(n_bits=6, n_classes=4, proxy_learning_rate=0.02, random_state=0)
    (group,) = loss.parameter_groups(1e-5)
    assert group["lr"] == 0.02
    assert group["params"][0] is loss.proxies
    optimizer = torch.optim.Adam([{"params": [torch.nn.Parameter(torch.zeros(1))]}, group], lr=1e-5)
    generator = torch.Generator().manual_seed(0)
    z, labels = torch.randn(8, 6, generator=generator), torch.eye(4).repeat(2, 1)
    before = loss.proxies.detach().clone()
    loss(z, labels).backward()
    optimizer.step()
    moved = (loss.proxies - before).abs()
    assert torch.allclose(moved[moved > 0], torch.tensor(0.02), rtol=1e-2)


def test_same_seed_same_proxies():
    first, second, third = (
        HyP2Loss(n_bits=6, n_classes=4, random_state=s).proxies for s in (3, 3, 4)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_wrong_sizes_are_named():
    loss = HyP2Loss(n_bits=6, n_classes=4)
    with pytest.raises(InvalidInputError, match="6 bits and 4 classes"):
        loss(torch.ones(2, 5), torch.ones(2, 4))
    with pytest.raises(InvalidInputError, match="labels of 3 columns"):
        loss(torch.ones(2, 6), torch.ones(2, 3))
