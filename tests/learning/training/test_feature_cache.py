"""Features of a frozen backbone are computed once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from h2q.datasets import Dataset, Items
from h2q.learning import backbones, bulk
from h2q.learning.training import feature_cache
from h2q.learning.training.feature_cache import FeatureCache


class Counting:
    """Images that count how often they are read, and may break at one."""

    def __init__(self, source, log, breaks_at=None):
        self.source, self.log, self.breaks_at = source, log, breaks_at

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int):
        if self.breaks_at is not None and len(self.log) == self.breaks_at:
            raise KeyboardInterrupt
        self.log.append(index)
        return self.source[index]

    def take(self, indices):
        return Counting(self.source.take(indices), self.log, self.breaks_at)


def test_interrupted_pass_goes_on(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "SHARD", 50)
    torch.manual_seed(0)
    backbone = backbones.create("digits-cnn")
    items = digits.train.take(np.arange(120))
    expected = bulk.run(backbone, backbone.forward, items)

    log: list[int] = []
    source = Counting(items.images, log, breaks_at=75)
    broken = Items(labels=items.labels, ids=items.ids, images=source)
    cache = FeatureCache(tmp_path, backbone)
    with pytest.raises(KeyboardInterrupt):
        cache.features(broken, "train", num_workers=0)
    source.breaks_at = None
    again = FeatureCache(tmp_path, backbone)
    assert np.allclose(again.features(broken, "train", num_workers=0), expected, atol=1e-6)
    assert len(log) == 75 + 70  # the first 50 are kept
    assert np.array_equal(again.features(broken, "train"), again.features(items, "train"))
    assert len(log) == 75 + 70


def test_other_weights_or_items_are_other_features(digits: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, two = backbones.create("digits-cnn"), backbones.create("digits-cnn")
    items = digits.train.take(np.arange(20))
    first = FeatureCache(tmp_path, one).features(items, "train")
    assert not np.allclose(first, FeatureCache(tmp_path, two).features(items, "train"))
    others = digits.train.take(np.arange(20, 40))
    assert not np.allclose(first, FeatureCache(tmp_path, one).features(others, "train"))
    assert FeatureCache(tmp_path, one).features(digits.train.take([]), "none").shape == (0, 128)
