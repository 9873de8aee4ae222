"""pytorch-metric-learning behind the contract: losses, miners, samplers."""

from __future__ import annotations

import pytest
import torch
from pytorch_metric_learning import losses as pml_losses
from pytorch_metric_learning import miners, samplers

from h2q.errors import InvalidInputError
from h2q.learning import losses, penalties
from h2q.learning.losses import protocol
from h2q.learning.losses.metric_learning import MetricLearningLoss, class_indices

MADE = {
    "triplet": lambda: pml_losses.TripletMarginLoss(),
    "multi-similarity": lambda: pml_losses.MultiSimilarityLoss(),
    "proxy-anchor": lambda: pml_losses.ProxyAnchorLoss(num_classes=4, embedding_size=6),
    "nt-xent": lambda: pml_losses.NTXentLoss(),
    "contrastive": lambda: pml_losses.ContrastiveLoss(),
    "normalised softmax": lambda: pml_losses.NormalizedSoftmaxLoss(4, 6),
    "circle": lambda: pml_losses.CircleLoss(),
}


def batch(n=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.nn.functional.one_hot(torch.arange(n) % 4, 4).float()
    return torch.randn(n, 6, generator=generator), labels


@pytest.fixture(params=MADE)
def inner(request):
    torch.manual_seed(0)
    return MADE[request.param]()


def test_the_value_is_the_librarys(inner):
    z, labels = batch()
    assert torch.equal(MetricLearningLoss(inner)(z, labels), inner(z, labels.argmax(dim=1)))


def test_gradients_reach_embeddings_and_own_parameters(inner):
    z, labels = batch()
    z.requires_grad_()
    loss = MetricLearningLoss(inner)
    loss(z, labels).backward()
    assert z.grad.isfinite().all()
    assert z.grad.abs().sum() > 0
    for parameter in loss.parameters():
        assert parameter.grad.abs().sum() > 0


def test_parameter_groups(inner):
    loss = MetricLearningLoss(inner, learning_rate_factor=10)
    assert protocol.has_parameter_groups(loss)
    groups = loss.parameter_groups(0.01)
    if not list(inner.parameters()):
        assert groups == []
        return
    (group,) = groups
    assert group["lr"] == pytest.approx(0.1)
    assert {id(p) for p in group["params"]} == {id(p) for p in inner.parameters()}


@pytest.mark.parametrize("labels", [torch.eye(4), torch.tensor([[0.0, 1.0, 0.0, 0.0]])])
def test_batches_without_a_positive_pair(inner, labels):
    z = batch(len(labels))[0].requires_grad_()
    value = MetricLearningLoss(inner)(z, labels)
    assert value.isfinite()
    value.backward()
    assert z.grad.isfinite().all()


def test_half_precision_is_computed_in_float32(inner):
    z, labels = batch()
    half = z.bfloat16()
    value = MetricLearningLoss(inner)(half, labels)
    assert value.dtype == torch.float32
    assert torch.equal(value, inner(half.float(), labels.argmax(dim=1)))


@pytest.mark.parametrize(
    ("loss", "miner"),
    [
        (pml_losses.TripletMarginLoss(), miners.TripletMarginMiner(type_of_triplets="semihard")),
        (pml_losses.TripletMarginLoss(), miners.BatchHardMiner()),
        (pml_losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()),
    ],
)
def test_what_a_miner_finds_goes_to_the_loss(loss, miner):
    z, labels = batch(24)
    classes = labels.argmax(dim=1)
    value = MetricLearningLoss(loss, miner)(z, labels)
    assert torch.equal(value, loss(z, classes, miner(z, classes)))
    assert not torch.equal(value, MetricLearningLoss(loss)(z, labels))


def test_cross_batch_memory_is_a_loss_too():
    memory = pml_losses.CrossBatchMemory(pml_losses.NTXentLoss(), embedding_size=6, memory_size=32)
    loss = MetricLearningLoss(memory)
    z, labels = batch()
    first, second = loss(z, labels), loss(z, labels)
    assert first.isfinite()
    assert not torch.equal(first, second)  # the second time the first batch is in the memory
    assert memory.embedding_memory[:12].equal(z)


def test_a_sampler_feeds_the_loader():
    _, labels = batch(40)
    labels = labels[torch.randperm(40, generator=torch.Generator().manual_seed(2))]
    sampler = samplers.MPerClassSampler(
        class_indices(labels), m=3, batch_size=12, length_before_new_iter=36
    )
    data = torch.utils.data.TensorDataset(torch.arange(40), labels)
    loader = torch.utils.data.DataLoader(data, batch_size=12, sampler=sampler)
    batches = list(loader)
    assert len(batches) == 3
    for _, marks in batches:
        assert marks.sum(dim=0).tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize("name", ["TripletMarginLoss", "ProxyAnchorLoss", "ArcFaceLoss"])
def test_by_name(name):
    loss = losses.create(f"pml:{name}", n_bits=6, n_classes=4)
    assert type(loss.loss).__name__ == name
    assert loss(*batch()).isfinite()


def test_by_name_with_options():
    loss = losses.create("pml:TripletMarginLoss", n_bits=6, n_classes=4, margin=0.3)
    assert loss.loss.margin == 0.3
    loss = losses.create("pml:ProxyAnchorLoss", n_bits=6, n_classes=4, learning_rate_factor=5)
    assert loss.parameter_groups(1.0)[0]["lr"] == 5


def test_a_typo_names_the_nearest_class():
    with pytest.raises(InvalidInputError, match="did you mean 'TripletMarginLoss'"):
        losses.create("pml:TripletMargin", n_bits=6, n_classes=4)


def test_several_labels_are_refused_with_a_way_out():
    labels = torch.eye(4)
    labels[2, 0] = 1
    with pytest.raises(InvalidInputError, match=r"row 2 has 2 .*multi-label loss such as 'cel'"):
        losses.create("pml:TripletMarginLoss", n_bits=6, n_classes=4)(batch(4)[0], labels)


def test_no_label_is_refused():
    with pytest.raises(InvalidInputError, match="row 1 has 0"):
        class_indices(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


def test_composes_with_a_penalty():
    z, labels = batch()
    loss = losses.create("pml:ProxyAnchorLoss", n_bits=6, n_classes=4)
    both = penalties.penalised(loss, penalties.create("l2"), 0.1)
    assert torch.isclose(both(z, labels), loss(z, labels) + 0.1 * penalties.create("l2")(z))
    assert len(both.parameter_groups(0.1)) == 1
