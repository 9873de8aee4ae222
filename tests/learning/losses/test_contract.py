"""What every loss promises, whatever its formula."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from h2q.errors import InvalidInputError
from h2q.learning import losses
from h2q.learning.losses import protocol

N_BITS, N_CLASSES = 6, 4


class Called(nn.Module):
    """A loss called as ``(z, labels)``; ADSH gets these labels as its data set first."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(3)
        # The paper's gamma of 200 is for tens of thousands of rows, of which a batch sees all.
        options = {"gamma": 2.0} if name == "adsh" else {}
        self.loss = losses.create(name, n_bits=N_BITS, n_classes=N_CLASSES, **options)

    def forward(self, z: Tensor, labels: Tensor, order: Tensor | None = None) -> Tensor:
        if not protocol.driven_by_dataset(self.loss):
            return self.loss(z, labels)
        indices = torch.arange(len(z)) if order is None else order
        dataset = torch.empty_like(labels)
        dataset[indices] = labels
        if not torch.equal(self.loss.labels, dataset.float()):
            self.loss.on_dataset(dataset)
        return self.loss(z, labels, indices=indices)


@pytest.fixture(params=losses.names())
def loss(request) -> Called:
    return Called(request.param)


def batch(n: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(n, N_BITS, generator=generator)
    return z, (torch.rand(n, N_CLASSES, generator=generator) < 0.4).float()


def check_finite(loss: Called, z: Tensor, labels: Tensor) -> None:
    z = z.clone().requires_grad_()
    value = loss(z, labels)
    assert value.shape == ()
    assert value.isfinite()
    value.backward()
    assert z.grad.shape == z.shape
    assert z.grad.isfinite().all()


def test_gradient_against_finite_differences(loss):
    z, labels = batch()
    loss.double()
    z = z.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, labels.double()), (z,), eps=1e-6, atol=1e-6)


def test_gradient_of_own_parameters(loss):
    z, labels = batch()
    loss.double()
    for parameter in loss.parameters():
        assert torch.autograd.gradcheck(
            lambda p: torch.func.functional_call(
                loss, {"loss.proxies": p}, (z.double(), labels.double())
            ),
            (parameter.detach().clone().requires_grad_(),),
            eps=1e-6,
            atol=1e-6,
        )


def test_order_of_the_batch_does_not_matter(loss):
    z, labels = batch(11)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(1))
    value = loss(z.double(), labels.double())
    shuffled = loss(z[order].double(), labels[order].double(), order)
    assert torch.isclose(value, shuffled, rtol=1e-9)


def test_order_of_the_labels_does_not_matter_to_pairs(loss):
    if any(True for _ in loss.parameters()):
        pytest.skip("a proxy belongs to its label")
    z, labels = batch(11)
    assert torch.isclose(loss(z, labels), loss(z, labels.flip(1)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_input(loss, dtype):
    z, labels = batch(16)
    half = z.to(dtype).requires_grad_()
    value = loss(half, labels)
    assert value.dtype == torch.float32
    assert torch.isclose(value, loss(half.detach().float(), labels), rtol=1e-6)
    value.backward()
    assert half.grad.dtype == dtype
    assert half.grad.isfinite().all()


def test_autocast_changes_nothing(loss):
    z, labels = batch(16)
    expected = loss(z, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(z, labels)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)


def test_no_similar_pair(loss):
    z, _ = batch(N_CLASSES)
    check_finite(loss, z, torch.eye(N_CLASSES))


def test_no_dissimilar_pair(loss):
    z, _ = batch()
    labels = torch.zeros(8, N_CLASSES)
    labels[:, 1] = 1
    check_finite(loss, z, labels)


def test_no_labels_at_all(loss):
    z, _ = batch()
    check_finite(loss, z, torch.zeros(8, N_CLASSES))


def test_batch_of_one(loss):
    check_finite(loss, *batch(1))


def test_embeddings_of_zeros(loss):
    _, labels = batch()
    check_finite(loss, torch.zeros(8, N_BITS), labels)


def test_embeddings_of_zeros_in_float16(loss):
    _, labels = batch()
    check_finite(loss, torch.zeros(8, N_BITS, dtype=torch.float16), labels)


def test_equal_embeddings(loss):
    _, labels = batch()
    check_finite(loss, torch.ones(8, N_BITS), labels)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_small_and_large_embeddings(loss, scale):
    z, labels = batch()
    check_finite(loss, scale * z, labels)


def test_integer_and_bool_labels_are_understood(loss):
    z, labels = batch()
    expected = loss(z, labels)
    assert torch.equal(loss(z, labels.long()), expected)
    assert torch.equal(loss(z, labels.bool()), expected)


def test_descent_separates_two_classes(loss):
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(20, N_CLASSES)
    labels[torch.arange(20), torch.arange(20) % 2] = 1
    z = torch.randn(20, N_BITS, generator=generator).requires_grad_()
    optimizer = torch.optim.Adam([{"params": [z], "lr": 0.05}, *groups(loss)])
    for _ in range(150):
        optimizer.zero_grad()
        loss(z, labels).backward()
        optimizer.step()
        if protocol.driven_by_dataset(loss.loss):
            loss.loss.on_epoch_end(z, torch.arange(20))
    unit = torch.nn.functional.normalize(z.detach())
    cosine = unit @ unit.T
    similar = labels @ labels.T > 0
    assert cosine[similar].mean() > 0.8
    assert cosine[~similar].mean() < 0.35


def groups(loss: Called) -> list[protocol.ParameterGroup]:
    inner = loss.loss
    return inner.parameter_groups(0.05) if protocol.has_parameter_groups(inner) else []


def test_wrong_shapes_are_named(loss):
    z, labels = batch()
    with pytest.raises(InvalidInputError, match="multi-hot"):
        loss.loss(z, labels[:, 0])
    with pytest.raises(InvalidInputError, match="8 embeddings but 7"):
        loss.loss(z, labels[:7])
    with pytest.raises(InvalidInputError, match=r"\(n, k\)"):
        loss.loss(z[0], labels)
    with pytest.raises(InvalidInputError, match="int64"):
        loss.loss(z.long(), labels)
