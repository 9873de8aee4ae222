"""Batches: what is drawn, what is held, and the order in which they come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from h2q.datasets import Dataset
from h2q.learning import Hasher, TrainConfig
from h2q.learning.backbones import Preprocessing
from h2q.learning.training.data import Batch, Chances, Feed, ImageBatches, PixelBatches
from h2q.learning.training.sampler import BatchRequest, EpochBatches, StridedBatches
from h2q.learning.training.sources import make_sources


def _seen(digits: Dataset) -> Preprocessing:
    seen = Hasher("digits-cnn", 8).preprocessing
    assert seen is not None
    return seen


def test_chance_is_of_the_item_and_the_epoch_alone() -> None:
    one, other = Chances("crop-flip", 50, seed=3), Chances("crop-flip", 50, seed=3)
    other.flips([4], 7)
    other.crop(4, 7)
    for epoch in (2, 0):
        assert np.array_equal(one.flips([5, 6], epoch), other.flips([6, 5], epoch)[::-1])
        assert one.crop(5, epoch).random() == other.crop(5, epoch).random()
    flips = np.array([one.flips(range(50), epoch) for epoch in range(40)])
    assert 0.45 < flips.mean() < 0.55
    draws = {
        chances.crop(i, e).random()
        for chances in (one, Chances("crop-flip", 50, seed=4))
        for i in range(10)
        for e in range(5)
    }
    assert len(draws) == 100
    assert Chances("flip", 50, seed=3).crop(0, 0) is None
    assert not Chances("none", 50, seed=3).flips(range(50), 0).any()


@pytest.mark.parametrize("augment", ["none", "flip"])
def test_held_images_are_those_read_anew(digits: Dataset, augment: str) -> None:
    items, seen = digits.train.take(np.arange(40)), _seen(digits)
    hot = items.multi_hot(10)
    read = ImageBatches(items, hot, seen, augment, seed=1)
    whole = BatchRequest(list(range(40)), 0)
    held = PixelBatches(ImageBatches(items, hot, seen)[whole].x, hot, Chances(augment, 40, 1))
    for epoch in (0, 3):
        request = BatchRequest([7, 3, 39, 0], epoch)
        for one, other in zip(read[request], held[request], strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("workers", [0, 2])
def test_one_stream_for_training_and_validation(digits: Dataset, workers: int) -> None:
    seen = _seen(digits)
    parts = [
        ImageBatches(items, items.multi_hot(10), seen, augment, 0)
        for items, augment in (
            (digits.train.take(np.arange(50)), "crop-flip"),
            (digits.validation.take(np.arange(30)), "none"),
        )
    ]
    batches = [EpochBatches(50, 16, 0), StridedBatches(30, 20)]
    feed = Feed(parts, batches, range(1, 4), num_workers=workers, pin_memory=False)

    def of(part: int, epoch: int) -> list[Batch]:
        return list(feed.epoch(part, epoch))

    for epoch in range(1, 4):
        for part in (0, 1):
            wanted = [parts[part][request] for request in batches[part].of(epoch)]
            found = of(part, epoch)
            assert len(found) == len(wanted) == (3, 2)[part]
            for one, other in zip(found, wanted, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    feed.close()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "PixelBatches"),
        ({"augment": "flip"}, "PixelBatches"),
        ({"augment": "crop-flip"}, "ImageBatches"),
        ({"held_gib": 1e-6}, "ImageBatches"),
        ({"freeze_backbone": True}, "RowBatches"),
    ],
)
def test_what_is_held(
    few_digits: Dataset, options: dict[str, object], kind: str, tmp_path: object
) -> None:
    from pathlib import Path

    from h2q.learning.training.feature_cache import FeatureCache

    hasher = Hasher("digits-cnn", 8)
    config = TrainConfig(**options)
    sources = make_sources(
        few_digits,
        hasher,
        config,
        lambda: FeatureCache(Path(str(tmp_path)), hasher.backbone),
        progress=False,
    )
    assert type(sources.train_batches).__name__ == kind
    assert type(sources.validation_batches).__name__ == kind
    hasher.to(sources.plain_batches.labels.device)
    rows = sources.train_embeddings(hasher, progress=False)
    assert np.allclose(rows, hasher.embed_items(sources.train), atol=1e-5)


def test_rows_need_no_images(make_features: Callable[..., Dataset]) -> None:
    hasher = Hasher("digits-cnn", 8)
    from h2q.learning import backbones

    hasher = Hasher(backbones.create("features", n_features=24), 8)
    sources = make_sources(
        make_features(), hasher, TrainConfig(), lambda: pytest.fail("no cache"), progress=False
    )
    assert sources.on_features
