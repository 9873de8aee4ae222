"""CEL against its formula and against torch's own cosine embedding loss."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cosine_embedding_loss

from h2q.learning.losses import CELLoss


@pytest.mark.parametrize("separation", [-0.5, 0.0, 0.25])
def test_formula(multi_label, mean_over_pairs, separation):
    z, labels = multi_label
    loss = CELLoss(n_bits=6, n_classes=4, separation=separation)

    def cost(pair, _weight):
        return 1 - pair.cosine if pair.similar else max(0.0, pair.cosine - separation)

    assert float(loss(z, labels)) == pytest.approx(mean_over_pairs(z, labels, cost), rel=1e-7)


def test_agrees_with_torch(multi_label):
    z, labels = multi_label
    rows, columns = torch.triu_indices(len(z), len(z), offset=1)
    target = torch.where((labels @ labels.T > 0)[rows, columns], 1, -1)
    expected = cosine_embedding_loss(z[rows], z[columns], target, margin=0.1)
    loss = CELLoss(n_bits=6, n_classes=4, separation=0.1)
    assert torch.isclose(loss(z, labels), expected, rtol=1e-7)


def test_separation_comes_from_bits_and_classes():
    assert CELLoss(n_bits=32, n_classes=100).separation == pytest.approx(0.125)


def test_scale_and_rotation_do_not_matter(multi_label):
    z, labels = multi_label
    loss = CELLoss(n_bits=6, n_classes=4)
    rotation = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    assert torch.isclose(loss(7 * z @ rotation, labels), loss(z, labels), rtol=1e-7)
