"""Each penalty against plain loops, finite differences and edge cases."""

from __future__ import annotations

import math

import pytest
import torch

from h2q.errors import InvalidInputError
from h2q.learning import penalties


def rows(z):
    return z.tolist()


def sum_over_bits(cost):
    return lambda z: sum(cost(abs(x)) for row in rows(z) for x in row) / len(z)


def cauchy(z):
    total = 0.0
    for row in rows(z):
        cosine = sum(abs(x) for x in row) / math.sqrt(len(row) * sum(x * x for x in row))
        total += math.log(1 + len(row) / 2 * (1 - cosine) / 10)
    return total / len(z)


def hswd(z):
    """W2² of each column to n/2 values of -1 and n/2 of +1; every value counted twice."""
    total = 0.0
    for column in zip(*rows(z), strict=True):
        values = sorted(x for x in column for _ in range(2))
        n = len(column)
        targets = [-1.0] * n + [1.0] * n
        total += sum((x - t) ** 2 for x, t in zip(values, targets, strict=True)) / (2 * n)
    return total / z.shape[1]


SLOW = {
    "l1": sum_over_bits(lambda a: abs(a - 1)),
    "l2": sum_over_bits(lambda a: (a - 1) ** 2),
    "log_cosh": sum_over_bits(lambda a: math.log(math.cosh(a - 1))),
    "cauchy": cauchy,
    "hswd": hswd,
}


@pytest.fixture(params=penalties.names())
def name(request):
    return request.param


def batch(n=9):
    return 1.5 * torch.randn(n, 5, generator=torch.Generator().manual_seed(n), dtype=torch.float64)


@pytest.mark.parametrize("n", [1, 8, 9])
def test_formula(name, n):
    z = batch(n)
    assert float(penalties.create(name)(z)) == pytest.approx(SLOW[name](z), rel=1e-7)


def test_gradient_against_finite_differences(name):
    assert torch.autograd.gradcheck(penalties.create(name), (batch().requires_grad_(),))


def test_zero_at_balanced_codes_only(name):
    codes = torch.tensor([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
    assert penalties.create(name)(codes).item() == pytest.approx(0, abs=1e-6)
    assert penalties.create(name)(codes * torch.tensor([1.0, 0.3])).item() > 1e-3


def test_order_of_the_batch_does_not_matter(name):
    z = batch()
    assert torch.isclose(penalties.create(name)(z), penalties.create(name)(z.flip(0)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(name, dtype):
    z = batch().to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = penalties.create(name)(z)
    assert value.dtype == torch.float32
    assert torch.isclose(value, penalties.create(name)(z.detach().float()))
    value.backward()
    assert z.grad.isfinite().all()


@pytest.mark.parametrize(
    "z", [torch.zeros(4, 3), torch.zeros(1, 3), torch.full((2, 3), 1e4), torch.zeros(0, 3)]
)
def test_finite_at_the_edges(name, z):
    z = z.clone().requires_grad_()
    value = penalties.create(name)(z)
    assert value.isfinite()
    value.backward()
    assert z.grad.isfinite().all()


def test_hswd_asks_for_balance():
    hswd_penalty = penalties.create("hswd")
    assert hswd_penalty(torch.ones(4, 2)).item() == pytest.approx(2.0)
    assert penalties.create("l2")(torch.ones(4, 2)).item() == 0


def test_cauchy_gamma():
    z = torch.tensor([[1.0, 0.0]])
    d = 1 - math.sqrt(0.5)
    assert penalties.create("cauchy", gamma=2.0)(z).item() == pytest.approx(
        math.log(1 + d / 2), rel=1e-5
    )


def test_wrong_input_is_named(name):
    with pytest.raises(InvalidInputError, match=r"\(n, k\)"):
        penalties.create(name)(torch.ones(3))
    with pytest.raises(InvalidInputError, match="int64"):
        penalties.create(name)(torch.ones(3, 2, dtype=torch.int64))
