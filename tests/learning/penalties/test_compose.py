"""penalised and squashed: the value, and the hooks of the loss inside."""

from __future__ import annotations

import pytest
import torch

from h2q.learning import losses, penalties
from h2q.learning.losses import protocol
from h2q.learning.penalties import penalised, squashed


def batch():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(8, 6, generator=generator)
    return z, torch.eye(4).repeat(2, 1)


@pytest.mark.parametrize("name", [n for n in losses.names() if n != "adsh"])
@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_sum(name, weight):
    z, labels = batch()
    loss = losses.create(name, n_bits=6, n_classes=4)
    penalty = penalties.create("l2")
    value = penalised(loss, penalty, weight)(z, labels)
    assert torch.isclose(value, loss(z, labels) + weight * penalty(z))


def test_tanh_reaches_loss_and_penalty():
    z, labels = batch()
    both = penalised(losses.create("dsh", n_bits=6, n_classes=4), penalties.create("l1"), 0.1)
    assert torch.equal(squashed(both)(z, labels), both(z.tanh(), labels))


def test_two_penalties():
    z, labels = batch()
    loss = losses.create("cel", n_bits=6, n_classes=4)
    l2, hswd = penalties.create("l2"), penalties.create("hswd")
    value = penalised(penalised(loss, l2, 0.1), hswd, 0.2)(z, labels)
    assert torch.isclose(value, loss(z, labels) + 0.1 * l2(z) + 0.2 * hswd(z))


@pytest.mark.parametrize("name", losses.names())
def test_wrappers_offer_what_the_loss_offers(name):
    loss = losses.create(name, n_bits=6, n_classes=4)
    wrapped = squashed(penalised(loss, penalties.create("l2"), 0.1))
    for asks in (
        protocol.has_epoch_start,
        protocol.has_parameter_groups,
        protocol.driven_by_dataset,
    ):
        assert asks(wrapped) == asks(loss)


def test_hooks_reach_the_loss_inside():
    hashnet = losses.create("hashnet", n_bits=6, n_classes=4)
    penalised(hashnet, penalties.create("l2"), 0.1).on_epoch_start(5, 10)
    assert hashnet.beta > 1
    hyp2 = losses.create("hyp2", n_bits=6, n_classes=4)
    wrapped = squashed(penalised(hyp2, penalties.create("l2"), 0.1))
    assert wrapped.parameter_groups(0.1)[0]["params"][0] is hyp2.proxies
    assert list(wrapped.parameters()) == [hyp2.proxies]


def test_indices_reach_adsh():
    z, labels = batch()
    adsh = losses.create("adsh", n_bits=6, n_classes=4)
    wrapped = penalised(adsh, penalties.create("l2"), 0.1)
    wrapped.on_dataset(labels)
    rows = torch.arange(8)
    expected = adsh(z, labels, indices=rows) + 0.1 * penalties.create("l2")(z)
    assert torch.isclose(wrapped(z, labels, indices=rows), expected)


def test_a_name_that_does_not_exist_is_still_an_error():
    with pytest.raises(AttributeError, match="no_such_hook"):
        _ = squashed(losses.create("cel", n_bits=6, n_classes=4)).no_such_hook
