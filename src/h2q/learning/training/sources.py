"""What the network is fed: rows held in memory, or images read as they are needed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from h2q.datasets.splitting import stratified_split
from h2q.errors import InvalidInputError
from h2q.learning import bulk
from h2q.learning.backbones import Preprocessing
from h2q.learning.config import TrainConfig
from h2q.learning.hasher import Hasher
from h2q.learning.training.data import Chances, ImageBatches, PixelBatches, RowBatches
from h2q.learning.training.feature_cache import FeatureCache
from h2q.learning.training.sampler import BatchRequest

if TYPE_CHECKING:
    from h2q.datasets import Dataset, Items

#: Bytes of images that are held where there is no GPU, if the config does not say.
HELD_GIB = 0.5
#: Items a batch where a batch is held already and nothing is learned.
BULK = 65536

Batches = RowBatches | PixelBatches | ImageBatches


@dataclass(frozen=True)
class Sources:
    """Inputs and labels of a run.

    Attributes
    ----------
    train, validation, reference : Items
        `reference` are training items the validation items are ranked against.
    train_batches : RowBatches, PixelBatches or ImageBatches
        Augmented, if the config says so.
    plain_batches : RowBatches, PixelBatches or ImageBatches
        The same items, never augmented.
    validation_batches, reference_batches : RowBatches, PixelBatches or ImageBatches
    on_features : bool
        Whether the inputs are the backbone's output.
    """

    train: Items
    validation: Items
    reference: Items
    train_batches: Batches
    plain_batches: Batches
    validation_batches: Batches
    reference_batches: Batches
    on_features: bool

    def in_batches(self, size: int) -> Callable[[torch.Tensor], Iterator[torch.Tensor]]:
        """Return the function from training rows to their inputs, `size` at a time."""

        def inputs(rows: torch.Tensor) -> Iterator[torch.Tensor]:
            for part in torch.split(rows, size):
                yield self.plain_batches[BatchRequest(part.tolist(), 0)].x

        return inputs

    def train_embeddings(self, hasher: Hasher, progress: bool) -> NDArray[np.float32]:
        """Embeddings z of all training items, (n, k), as the model embeds ever after."""
        if isinstance(self.plain_batches, ImageBatches):
            return hasher.embed_items(self.train, progress=progress)
        embed, size = (hasher.hash_layer, BULK) if self.on_features else (hasher.embed, None)
        size = size or bulk.default_batch(hasher.rotation.device)
        rows = torch.arange(len(self.train))
        return bulk.run_batches(hasher, embed, self.in_batches(size)(rows))


def make_sources(
    dataset: Dataset,
    hasher: Hasher,
    config: TrainConfig,
    cache: Callable[[], FeatureCache],
    *,
    progress: bool,
) -> Sources:
    """Split off what is needed, and compute the features of a frozen backbone once."""
    train, validation = _train_and_validation(dataset, config.random_state)
    chosen = np.random.default_rng([config.random_state, 1]).permutation(len(train))
    chosen = np.sort(chosen[: config.validation_rows])
    reference = train.take(chosen)
    hot = [items.multi_hot(dataset.n_classes) for items in (train, validation)]
    device, seen = device_of(config), hasher.preprocessing
    chances = Chances(config.augment, len(train), config.random_state)
    pictures = (train, validation, reference)
    if seen is not None and not (config.freeze_backbone and config.augment == "none"):
        if config.augment == "crop-flip" or not _fit(pictures, seen, config, device):
            return Sources(
                *pictures,
                train_batches=ImageBatches(train, hot[0], seen, config.augment, chances.seed),
                plain_batches=ImageBatches(train, hot[0], seen),
                validation_batches=ImageBatches(validation, hot[1], seen),
                reference_batches=ImageBatches(reference, hot[0][chosen], seen),
                on_features=False,
            )
        pixels = [
            _cut(items, seen, device, config.num_workers, name if progress else None)
            for items, name in ((train, "training images"), (validation, "validation images"))
        ]
        every = len(chosen) == len(train)
        again = pixels[0] if every else pixels[0][torch.from_numpy(chosen).to(device)]
        return Sources(
            *pictures,
            train_batches=PixelBatches(pixels[0], hot[0], chances),
            plain_batches=PixelBatches(pixels[0], hot[0]),
            validation_batches=PixelBatches(pixels[1], hot[1]),
            reference_batches=PixelBatches(again, hot[0][chosen]),
            on_features=False,
        )
    # Rows go to the backbone, too, where there is one; nothing stands before the hash layer else.
    on_features = seen is not None or hasher.backbone.spec.family == "features"
    if seen is None:
        rows = [bulk.features_of(train), bulk.features_of(validation)]
    else:
        hasher.backbone.to(device)
        keep = cache()
        rows = [
            keep.features(items, name, num_workers=config.num_workers, progress=progress)
            for items, name in ((train, "train"), (validation, "validation"))
        ]
    held = RowBatches(rows[0], hot[0], device)
    return Sources(
        *pictures,
        train_batches=held,
        plain_batches=held,
        validation_batches=RowBatches(rows[1], hot[1], device),
        reference_batches=RowBatches(rows[0][chosen], hot[0][chosen], device),
        on_features=on_features,
    )


def device_of(config: TrainConfig) -> torch.device:
    """Return the device that Lightning will choose for this process."""
    if config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if config.accelerator in ("auto", "gpu", "mps") and torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _fit(
    parts: Iterable[Items], seen: Preprocessing, config: TrainConfig, device: torch.device
) -> bool:
    """Whether the bytes of all images are few enough to be held."""
    if config.held_gib is not None:
        most = config.held_gib * 2**30
    elif device.type == "cuda":
        most = torch.cuda.mem_get_info(device)[0] / 4
    else:
        most = HELD_GIB * 2**30
    return sum(len(items) for items in parts) * math.prod(seen.size) <= most


def _cut(
    items: Items, seen: Preprocessing, device: torch.device, workers: int | None, title: str | None
) -> torch.Tensor:
    """Cut and resize all images once: uint8 (n, h, w, c) on `device`."""
    channels, height, width = seen.size
    pixels = torch.empty((len(items), height, width, channels), dtype=torch.uint8, device=device)
    done = 0
    batches = bulk.batches_of(items, seen, num_workers=workers, description=title, device=device)
    for batch in batches:
        pixels[done : done + len(batch)] = batch.to(device)
        done += len(batch)
    return pixels


def _train_and_validation(dataset: Dataset, seed: int) -> tuple[Items, Items]:
    """Without a validation split, a tenth of the training items, by class, becomes one."""
    train, validation = dataset.train, dataset.validation
    if len(validation) == 0:
        parts = stratified_split(
            train.labels, fractions={"train": 0.9, "validation": 0.1}, random_state=seed
        )
        train, validation = train.take(parts["train"]), train.take(parts["validation"])
    if len(train) < 2 or len(validation) == 0:
        raise InvalidInputError(
            f"{dataset.name}: {len(train)} training and {len(validation)} validation items are "
            f"too few to learn from; give more items"
        )
    return train, validation
