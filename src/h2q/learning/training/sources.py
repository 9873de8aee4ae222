"""What the network is fed: rows held in memory, or images read as they are needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from h2q.datasets.splitting import stratified_split
from h2q.errors import InvalidInputError
from h2q.learning import bulk
from h2q.learning.config import TrainConfig
from h2q.learning.hasher import Hasher
from h2q.learning.training.data import ImageBatches, RowBatches
from h2q.learning.training.feature_cache import FeatureCache
from h2q.learning.training.sampler import BatchRequest

if TYPE_CHECKING:
    from h2q.datasets import Dataset, Items

#: Inputs that never change are held in memory up to this size.
HELD_BYTES = 256 * 2**20

Batches = RowBatches | ImageBatches


@dataclass(frozen=True)
class Sources:
    """Inputs and labels of a run.

    Attributes
    ----------
    train, validation, reference : Items
        `reference` are training items the validation items are ranked against.
    train_batches : RowBatches or ImageBatches
        Augmented, if the config says so.
    plain_batches : RowBatches or ImageBatches
        The same items, never augmented.
    validation_batches, reference_batches : RowBatches or ImageBatches
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
        """Embeddings z of all training items, (n, k)."""
        if isinstance(self.plain_batches, ImageBatches):
            return hasher.embed_items(self.train, precision="32", progress=progress)
        embed, size = (hasher.hash_layer, 65536) if self.on_features else (hasher.embed, 256)
        device, rows = hasher.rotation.device, self.plain_batches.rows
        with torch.inference_mode():
            parts = [embed(part.to(device)).cpu() for part in torch.split(rows, size)]
        return torch.cat(parts).numpy()


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
    if hasher.preprocessing is None:
        rows = [bulk.features_of(train), bulk.features_of(validation)]
    elif config.freeze_backbone and config.augment == "none":
        keep = cache()
        rows = [
            keep.features(items, name, num_workers=config.num_workers, progress=progress)
            for items, name in ((train, "train"), (validation, "validation"))
        ]
    elif config.augment == "none" and _fits(len(train), hasher.preprocessing.size):
        seen = hasher.preprocessing
        rows = [
            np.stack([inputs[i].numpy() for i in range(len(items))])
            for items, inputs in (
                (part, bulk.ItemInputs(part, seen)) for part in (train, validation)
            )
        ]
    else:
        seen = hasher.preprocessing
        seed = config.random_state
        plain = ImageBatches(train, hot[0], seen)
        return Sources(
            train,
            validation,
            reference,
            train_batches=ImageBatches(train, hot[0], seen, config.augment, seed),
            plain_batches=plain,
            validation_batches=ImageBatches(validation, hot[1], seen),
            reference_batches=ImageBatches(reference, hot[0][chosen], seen),
            on_features=False,
        )
    held = RowBatches(rows[0], hot[0])
    return Sources(
        train,
        validation,
        reference,
        train_batches=held,
        plain_batches=held,
        validation_batches=RowBatches(rows[1], hot[1]),
        reference_batches=RowBatches(rows[0][chosen], hot[0][chosen]),
        on_features=hasher.preprocessing is None or config.freeze_backbone,
    )


def _fits(n_items: int, size: tuple[int, int, int]) -> bool:
    """Whether all inputs take little enough memory to be made once and held."""
    return 4 * n_items * math.prod(size) <= HELD_BYTES


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
