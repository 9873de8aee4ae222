"""One step of training: embed, gather, loss; and what the optimizer learns."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from h2q.learning import bulk
from h2q.learning.config import TrainConfig
from h2q.learning.hasher import Hasher
from h2q.learning.training.data import Batch
from h2q.learning.training.gather import gather_rows


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
        self._preprocessing = None if on_features else hasher.preprocessing
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
        """Map bytes of images, or rows of features, to embeddings, (n, k)."""
        x = bulk.to_input(x, self._preprocessing)
        if self.backbone is None:
            features = x
        elif self.freeze_backbone:
            with torch.no_grad():
                features = self.backbone(x)
        else:
            features = self.backbone(x)
        z: torch.Tensor = self.hash_layer(features)
        return z


class Step(nn.Module):
    """Similarity learning without a quantization term (arXiv 2311.04207, sec. 3).

    Parameters
    ----------
    embedder : Embedder
        Inputs to embeddings.
    loss : nn.Module
        `loss(embeddings, multi-hot labels)`; its hooks are those of
        `h2q.learning.losses.protocol`.
    """

    def __init__(self, embedder: Embedder, loss: nn.Module) -> None:
        super().__init__()
        self.embedder = embedder
        self.loss = loss
        self._takes_indices = hasattr(loss, "on_dataset")

    def forward(self, batch: Batch) -> torch.Tensor:
        """Loss of the batch over all processes."""
        z = gather_rows(self.embedder(batch.x))
        labels = gather_rows(batch.labels)
        with torch.autocast(z.device.type, enabled=False):
            if self._takes_indices:
                value = self.loss(z.float(), labels, indices=gather_rows(batch.indices))
            else:
                value = self.loss(z.float(), labels)
        loss: torch.Tensor = value
        return loss


def make_optimizer(step: Step, config: TrainConfig, *, fused: bool) -> torch.optim.Optimizer:
    """Make the groups: hash layer, backbone, and what the loss learns itself."""
    embedder, rate = step.embedder, config.learning_rate
    groups: list[dict[str, Any]] = [{"params": list(embedder.hash_layer.parameters()), "lr": rate}]
    if embedder.backbone is not None and not embedder.freeze_backbone:
        parameters = list(embedder.backbone.parameters())
        groups.append({"params": parameters, "lr": rate * config.backbone_rate})
    own = getattr(step.loss, "parameter_groups", None)
    if own is not None:
        groups.extend(dict(group) for group in own(rate))
    elif any(True for _ in step.loss.parameters()):
        groups.append({"params": list(step.loss.parameters()), "lr": rate})
    for group in groups:
        group["initial_lr"] = group["lr"]
    more: dict[str, Any] = {"lr": rate, "weight_decay": config.weight_decay}
    if fused:
        more["fused"] = True
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, **more)
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, **more)
