"""Lightning's trainer, set up and run; imported only when training starts (it takes seconds)."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn
from torch.utils.data import DataLoader

from h2q.errors import InvalidInputError
from h2q.learning.config import TrainConfig
from h2q.learning.hasher import Hasher
from h2q.learning.training.data import Batch
from h2q.learning.training.module import Embedder, HashingModule
from h2q.learning.training.recorder import AlternatingStep, Recorder
from h2q.learning.training.run_folder import RunFolder
from h2q.learning.training.sampler import EpochBatches

if TYPE_CHECKING:
    from h2q.learning.training.sources import Sources

_PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


class Trained(NamedTuple):
    """What stage 1 gave.

    Attributes
    ----------
    embedder : Embedder
        Sharing its layers with the hasher; at the last epoch's weights.
    history : list of dict
        One an epoch.
    is_main : bool
        Whether this is the process that writes.
    device : torch.device
        What it was trained on.
    """

    embedder: Embedder
    history: list[dict[str, float]]
    is_main: bool
    device: torch.device


def train(
    hasher: Hasher,
    loss: nn.Module,
    config: TrainConfig,
    sources: Sources,
    folder: RunFolder,
    train_loader: DataLoader[Batch],
    validation_loaders: list[DataLoader[Batch]],
    *,
    has_checkpoint: bool,
    progress: bool,
) -> Trained:
    """Run stage 1, from the last checkpoint if there is one."""
    embedder = Embedder(
        hasher, on_features=sources.on_features, freeze_backbone=config.freeze_backbone
    )
    if not sources.on_features:
        embedder.to(memory_format=torch.channels_last)
    module = HashingModule(
        embedder, loss, config, sources.validation.labels, sources.reference.labels
    )
    recorder = Recorder(folder, config.patience)
    callbacks: list[lightning.Callback] = [recorder]
    if hasattr(loss, "rows_to_embed"):
        callbacks.append(AlternatingStep(sources.in_batches(config.batch_size)))
    shown = progress and sys.stderr.isatty()
    if shown:
        callbacks.append(RichProgressBar(console_kwargs={"stderr": True}))
    trainer = _trainer(config, folder, callbacks, len(train_loader), shown)
    if has_checkpoint and isinstance(train_loader.sampler, EpochBatches):
        # Lightning draws the first batch before it tells the sampler which epoch it resumes.
        train_loader.sampler.set_epoch(folder.epochs_done())
    trainer.fit(
        module,
        train_loader,
        validation_loaders,
        ckpt_path=folder.last if has_checkpoint else None,
        weights_only=True,
    )
    if trainer.interrupted:
        raise KeyboardInterrupt
    device = trainer.strategy.root_device
    return Trained(embedder, recorder.history, trainer.is_global_zero, device)


def _trainer(
    config: TrainConfig,
    folder: RunFolder,
    callbacks: list[lightning.Callback],
    n_steps: int,
    shown: bool,
) -> lightning.Trainer:
    world = config.devices * config.num_nodes
    if config.batch_size % world:
        raise InvalidInputError(
            f"batch_size {config.batch_size} counts the items of all processes together and must "
            f"be a multiple of devices x num_nodes = {world}"
        )
    if config.precision == "16" and not torch.cuda.is_available():
        raise InvalidInputError("precision '16' needs a GPU; on this machine use '32' or 'bf16'")
    arguments: dict[str, Any] = {"strategy": "ddp"} if world > 1 else {}
    try:
        return _lightning_trainer(config, folder, callbacks, n_steps, shown, arguments)
    except MisconfigurationException as error:
        raise InvalidInputError(
            f"accelerator={config.accelerator!r}, devices={config.devices}: {error}"
        ) from error


def _lightning_trainer(
    config: TrainConfig,
    folder: RunFolder,
    callbacks: list[lightning.Callback],
    n_steps: int,
    shown: bool,
    arguments: dict[str, Any],
) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        num_nodes=config.num_nodes,
        precision=_PRECISIONS[config.precision],
        max_epochs=config.epochs,
        gradient_clip_val=config.gradient_clip,
        deterministic=config.deterministic,
        callbacks=callbacks,
        logger=TensorBoardLogger(folder.path, name="tensorboard", version=""),
        log_every_n_steps=max(1, min(50, math.ceil(n_steps / 4))),
        num_sanity_val_steps=0,
        enable_checkpointing=True,  # the Recorder is the checkpoint callback
        enable_progress_bar=shown,
        enable_model_summary=False,
        use_distributed_sampler=False,  # the samplers share batches among processes themselves
        sync_batchnorm=bool(arguments) and torch.cuda.is_available(),
        default_root_dir=folder.path,
        **arguments,
    )
