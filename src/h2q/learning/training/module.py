"""One step of training, for Lightning: embed, gather, loss; and the validation mAP."""

from __future__ import annotations

import math
from typing import Any

import lightning
import numpy as np
import torch
from torch import nn

from h2q.evaluation import mean_average_precision
from h2q.learning.config import TrainConfig
from h2q.learning.hasher import Hasher
from h2q.learning.training.data import Batch
from h2q.learning.training.gather import gather_rows
from h2q.learning.training.sampler import seed_all

#: What the validation loaders hold, in their order.
QUERY, REFERENCE = 0, 1


class Embedder(nn.Module):
    """The part of a hasher that training calls.

    Parameters
    ----------
    hasher : Hasher
        Its hash layer learns.
    on_features : bool
        The inputs are the backbone's features; the backbone is not called.
    freeze_backbone : bool
        The backbone is called, but keeps its weights and its running statistics.
    """

    def __init__(self, hasher: Hasher, *, on_features: bool, freeze_backbone: bool) -> None:
        super().__init__()
        self.backbone = None if on_features else hasher.backbone
        self.hash_layer = hasher.hash_layer
        self.freeze_backbone = freeze_backbone
        if self.backbone is not None:
            self.backbone.requires_grad_(not freeze_backbone)

    def train(self, mode: bool = True) -> Embedder:
        """Set the mode; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.backbone is not None and self.freeze_backbone:
            self.backbone.eval()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map inputs to embeddings, (n, k)."""
        if self.backbone is None:
            features = x
        elif self.freeze_backbone:
            with torch.no_grad():
                features = self.backbone(x)
        else:
            features = self.backbone(x)
        z: torch.Tensor = self.hash_layer(features)
        return z


class HashingModule(lightning.LightningModule):
    """Similarity learning without a quantization term (arXiv 2311.04207, sec. 3).

    Parameters
    ----------
    embedder : Embedder
        Inputs to embeddings.
    loss : nn.Module
        `loss(embeddings, multi-hot labels)`; its hooks are those of
        `h2q.learning.losses.protocol`.
    config : TrainConfig
        Optimizer, rates and epochs.
    validation_labels, reference_labels : ndarray
        Labels of the validation items and of the training items they are ranked against.
    """

    def __init__(
        self,
        embedder: Embedder,
        loss: nn.Module,
        config: TrainConfig,
        validation_labels: np.ndarray[Any, Any],
        reference_labels: np.ndarray[Any, Any],
    ) -> None:
        super().__init__()
        self.embedder = embedder
        self.loss = loss
        self.config = config
        self._labels = (validation_labels, reference_labels)
        self._rows: list[np.ndarray[Any, Any]] = []
        self._takes_indices = hasattr(loss, "on_dataset")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the groups: hash layer, backbone, and what the loss learns itself."""
        config = self.config
        rate = config.learning_rate
        groups: list[dict[str, Any]] = [
            {"params": list(self.embedder.hash_layer.parameters()), "lr": rate}
        ]
        if self.embedder.backbone is not None and not self.embedder.freeze_backbone:
            parameters = list(self.embedder.backbone.parameters())
            groups.append({"params": parameters, "lr": rate * config.backbone_rate})
        own = getattr(self.loss, "parameter_groups", None)
        if own is not None:
            groups.extend(dict(group) for group in own(rate))
        elif any(True for _ in self.loss.parameters()):
            groups.append({"params": list(self.loss.parameters()), "lr": rate})
        for group in groups:
            group["initial_lr"] = group["lr"]
        decay = config.weight_decay
        if config.optimizer == "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=0.9, weight_decay=decay)
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        return kind(groups, lr=rate, weight_decay=decay)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Begin an epoch: everything random or scheduled in it depends on its number alone.

        Lightning leaves out `on_train_epoch_start` where it resumes; the first batch comes always.
        """
        if batch_idx > 0:
            return
        epoch = self.current_epoch
        seed_all(self.config.random_state, epoch, self.global_rank)
        factor = 1.0
        if self.config.schedule == "cosine":
            factor = 0.5 * (1 + math.cos(math.pi * epoch / self.config.epochs))
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] * factor
        starting = getattr(self.loss, "on_epoch_start", None)
        if starting is not None:
            starting(epoch, self.config.epochs)

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Loss of the batch over all processes."""
        z = gather_rows(self.embedder(batch.x))
        labels = gather_rows(batch.labels)
        with torch.autocast(self.device.type, enabled=False):
            if self._takes_indices:
                loss = self.loss(z.float(), labels, indices=gather_rows(batch.indices))
            else:
                loss = self.loss(z.float(), labels)
        self.log("loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=len(labels))
        value: torch.Tensor = loss
        return value

    def on_validation_epoch_start(self) -> None:
        """Make room for the embeddings."""
        self._rows = [
            np.zeros((len(labels), self.config.n_bits), dtype=np.float32) for labels in self._labels
        ]

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Put the embeddings of a batch in their places."""
        z = gather_rows(self.embedder(batch.x).float())
        indices = gather_rows(batch.indices)
        self._rows[dataloader_idx][indices.cpu().numpy()] = z.cpu().numpy()

    def on_validation_epoch_end(self) -> None:
        """Rank the validation items against training items by cosine."""
        value = math.nan  # the Recorder says what to do about rows that are not finite
        if all(np.isfinite(rows).all() for rows in self._rows):
            value = mean_average_precision(
                self._rows[QUERY], self._rows[REFERENCE], *self._labels, ranking="cosine"
            )
        self._rows = []
        self.log("validation_map", float(value), prog_bar=True, rank_zero_only=False)
