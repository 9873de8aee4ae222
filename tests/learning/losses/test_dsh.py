"""DSH against its formula."""

from __future__ import annotations

import pytest

from h2q.learning.losses import DSHLoss


@pytest.mark.parametrize("margin", [None, 3.0])
def test_formula(multi_label, mean_over_pairs, margin):
    z, labels = multi_label
    m = 12.0 if margin is None else margin

    def cost(pair, _weight):
        d = sum((a - b) ** 2 for a, b in zip(pair.zi, pair.zj, strict=True))
        return 0.5 * d if pair.similar else 0.5 * max(m - d, 0.0)

    loss = DSHLoss(n_bits=6, margin=margin)
    assert float(loss(z, labels)) == pytest.approx(mean_over_pairs(z, labels, cost), rel=1e-9)
