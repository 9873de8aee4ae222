"""The loop of stage 1, on Lightning Fabric: devices, processes and precision are Fabric's.

Fabric is imported only when training starts; it takes seconds.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import lightning
import numpy as np
import torch
from lightning.fabric.loggers.tensorboard import TensorBoardLogger
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from h2q._progress import in_lines
from h2q.errors import InvalidInputError
from h2q.evaluation import mean_average_precision
from h2q.learning.config import TrainConfig
from h2q.learning.hasher import Hasher
from h2q.learning.training.data import Feed
from h2q.learning.training.gather import gather_rows
from h2q.learning.training.module import Embedder, Step, make_optimizer
from h2q.learning.training.progress import Progress, Writer
from h2q.learning.training.run_folder import CHECKPOINT, RunFolder
from h2q.learning.training.sampler import EpochBatches, Order, StridedBatches, seed_all

if TYPE_CHECKING:
    from h2q.learning.training.sources import Sources

#: Images a batch of validation: no gradients are kept, so more fit than in training.
VALIDATION_BATCH = 512
#: The parts of a feed.
TRAIN, QUERY, REFERENCE = 0, 1, 2

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
    order: Order | None,
    *,
    num_workers: int,
    has_checkpoint: bool,
    progress: bool,
) -> Trained:
    """Run stage 1, from the last checkpoint if there is one."""
    fabric = make_fabric(config)
    fabric.launch()
    home = _device_of(loss)
    try:
        with _settings(config):
            return _Run(fabric, hasher, loss, config, sources, folder).go(
                order,
                num_workers=num_workers,
                has_checkpoint=has_checkpoint,
                shown=progress and fabric.is_global_zero,
            )
    except BaseException:
        for process in getattr(getattr(fabric.strategy, "launcher", None), "procs", ()):
            process.terminate()
        raise
    finally:
        if home is not None:  # it is the caller's
            loss.to(home)


def _device_of(module: nn.Module) -> torch.device | None:
    """Return where a module is; None where it holds nothing."""
    for tensor in (*module.parameters(), *module.buffers()):
        return tensor.device
    return None


class _Run:
    """The modules of a run, and what is done with them."""

    def __init__(
        self,
        fabric: lightning.Fabric,
        hasher: Hasher,
        loss: nn.Module,
        config: TrainConfig,
        sources: Sources,
        folder: RunFolder,
    ) -> None:
        self.fabric, self.config, self.sources, self.folder = fabric, config, sources, folder
        self.embedder = Embedder(
            hasher, on_features=sources.on_features, freeze_backbone=config.freeze_backbone
        )
        if not sources.on_features:
            self.embedder.to(memory_format=torch.channels_last)
        self.loss = loss
        step = Step(self.embedder, loss).to(fabric.device)
        on_gpu = fabric.device.type == "cuda"
        if on_gpu and fabric.world_size > 1:
            convert: Callable[[Step], Step] = nn.SyncBatchNorm.convert_sync_batchnorm
            step = convert(step)
        optimizer = make_optimizer(step, config, fused=on_gpu)
        self.step = step
        compiled: Any = torch.compile(step) if config.compile else step
        self.runner, self.optimizer = fabric.setup(compiled, optimizer)
        self.progress = Progress(config.patience)

    def go(
        self, order: Order | None, *, num_workers: int, has_checkpoint: bool, shown: bool
    ) -> Trained:
        """Train the epochs that are left."""
        fabric, config, sources = self.fabric, self.config, self.sources
        first = self._resume() if has_checkpoint else 0
        parts = (sources.train_batches, sources.validation_batches, sources.reference_batches)
        batches = EpochBatches(len(parts[0]), config.batch_size, config.random_state, order)
        feed = Feed(
            parts,
            [batches, *(StridedBatches(len(part), VALIDATION_BATCH) for part in parts[1:])],
            range(first, 0 if self.progress.stopped else config.epochs),
            num_workers=num_workers,
            pin_memory=fabric.device.type == "cuda",
        )
        writer = Writer(self.folder)
        log = _step_log(self.folder, fabric.is_global_zero)
        began = time.perf_counter()
        try:
            with _bar(shown) as show:
                for epoch in range(first, config.epochs):
                    if self.progress.stopped:
                        break
                    losses = self._epoch(feed, epoch, len(batches), show)
                    value = self._validate(feed, epoch)
                    self._alternate(epoch)
                    now = time.perf_counter()
                    self._record(writer, epoch, losses, value, now - began)
                    began = now
                    log(epoch, losses, value)
            writer.wait()
        finally:
            feed.close()
            writer.close()
        return Trained(self.embedder, self.progress.history, fabric.is_global_zero, fabric.device)

    def _epoch(
        self, feed: Feed, epoch: int, n_steps: int, show: Callable[[int, int, str], None]
    ) -> torch.Tensor:
        """Train an epoch: all that is random or scheduled in it depends on its number alone.

        Returns
        -------
        Tensor, shape (steps,)
            The losses.
        """
        fabric, config = self.fabric, self.config
        seed_all(config.random_state, epoch, fabric.global_rank)
        factor = 1.0
        if config.schedule == "cosine":
            factor = 0.5 * (1 + math.cos(math.pi * epoch / config.epochs))
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        starting = getattr(self.loss, "on_epoch_start", None)
        if starting is not None:
            starting(epoch, config.epochs)
        self.step.train()
        losses = []
        for number, batch in enumerate(feed.epoch(TRAIN, epoch)):
            self.optimizer.zero_grad(set_to_none=True)
            loss = self.runner(batch.to(fabric.device))
            fabric.backward(loss)
            if config.gradient_clip is not None:
                fabric.clip_gradients(self.runner, self.optimizer, max_norm=config.gradient_clip)
            self.optimizer.step()
            losses.append(loss.detach())
            done, total = epoch * n_steps + number + 1, config.epochs * n_steps
            show(done, total, f"epoch {epoch + 1}/{config.epochs}")
        return torch.stack(losses).float()

    def _validate(self, feed: Feed, epoch: int) -> float:
        """Rank the validation items against training items by cosine."""
        self.step.eval()
        device, bits = self.fabric.device, self.config.n_bits
        rows, labels = [], []
        with torch.no_grad(), self.fabric.autocast():
            for part, items in (
                (QUERY, self.sources.validation),
                (REFERENCE, self.sources.reference),
            ):
                z = torch.zeros((len(items), bits), device=device)
                for batch in feed.epoch(part, epoch):
                    here = batch.to(device)
                    found = gather_rows(self.embedder(here.x).float())
                    z[gather_rows(here.indices)] = found
                rows.append(z)
                labels.append(items.labels)
        if not all(bool(torch.isfinite(z).all()) for z in rows):
            return math.nan  # `Progress` says what to do about it
        here_too = device.type == "cuda" and not self.config.deterministic
        sides: list[Any] = rows if here_too else [z.cpu().numpy() for z in rows]
        return float(mean_average_precision(*sides, *labels, rank="cosine"))

    def _alternate(self, epoch: int) -> None:
        """Do the loss's own half of an alternating optimisation (ADSH)."""
        loss: Any = self.loss
        if not hasattr(loss, "rows_to_embed"):
            return
        rows = loss.rows_to_embed(epoch)
        if rows is None:
            return
        device = self.fabric.device
        self.step.eval()
        with torch.no_grad():
            inputs = self.sources.in_batches(self.config.batch_size)
            z = [self.embedder(x.to(device)).float() for x in inputs(rows)]
            loss.on_epoch_end(torch.cat(z), rows.to(device))

    def _record(
        self, writer: Writer, epoch: int, losses: torch.Tensor, value: float, seconds: float
    ) -> None:
        rate = float(self.optimizer.param_groups[0]["lr"])
        best = self.progress.add(epoch, float(losses.mean()), value, rate, seconds)
        if self.fabric.is_global_zero:
            writer.epoch(
                lambda: self._state(epoch),
                self.embedder.state_dict(),
                list(self.progress.history),
                best=best,
                last=self.progress.stopped or epoch + 1 == self.config.epochs,
            )

    def _state(self, epoch: int) -> dict[str, Any]:
        return {
            "format": CHECKPOINT,
            "epoch": epoch,
            "embedder": self.embedder.state_dict(),
            "loss": self.loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),
            "progress": self.progress.state_dict(),
        }

    def _resume(self) -> int:
        """Go back to the last checkpoint; returns the epoch that comes next."""
        state = self.folder.load_checkpoint()
        self.embedder.load_state_dict(state["embedder"])
        self.loss.load_state_dict(state["loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.progress.load_state_dict(state["progress"])
        return int(state["epoch"]) + 1


def make_fabric(config: TrainConfig) -> lightning.Fabric:
    """Set up what the config asks for.

    Raises
    ------
    InvalidInputError
        If this machine has no such thing, or the batch cannot be shared out.
    """
    world = config.devices * config.num_nodes
    if config.batch_size % world:
        raise InvalidInputError(
            f"batch_size {config.batch_size} counts the items of all processes together and must "
            f"be a multiple of devices x num_nodes = {world}"
        )
    if config.precision == "16" and not torch.cuda.is_available():
        raise InvalidInputError("precision '16' needs a GPU; on this machine use '32' or 'bf16'")
    try:
        return lightning.Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            precision=_PRECISIONS[config.precision],
            strategy="ddp" if world > 1 else "auto",
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise InvalidInputError(
            f"accelerator={config.accelerator!r}, devices={config.devices}: {error}"
        ) from error


@contextmanager
def _settings(config: TrainConfig) -> Iterator[None]:
    """Set what is global in torch, and put it back.

    cudnn's search for the fastest algorithms stays off: for MobileNetV2 on an H200 it took some 25
    seconds a process, as long as a fine-tuning on 5,000 images.
    """
    deterministic = torch.are_deterministic_algorithms_enabled()
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS refuses
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic)


def _step_log(folder: RunFolder, is_main: bool) -> Callable[[int, torch.Tensor, float], None]:
    """Return what writes the losses of an epoch's steps for TensorBoard."""
    if not is_main:
        return lambda epoch, losses, value: None
    logger = TensorBoardLogger(folder.path, name="tensorboard", version="")

    def log(epoch: int, losses: torch.Tensor, value: float) -> None:
        every = max(1, min(50, math.ceil(len(losses) / 4)))
        start = epoch * len(losses)
        for number, loss in enumerate(np.asarray(losses.cpu())[::every].tolist()):
            logger.log_metrics({"loss": loss}, step=start + number * every)
        epoch_values = {"loss_epoch": float(losses.mean()), "validation_map": value}
        logger.log_metrics(epoch_values, step=start + len(losses))
        logger.save()

    return log


@contextmanager
def _bar(shown: bool) -> Iterator[Callable[[int, int, str], None]]:
    if not shown:
        yield lambda done, total, title: None
        return
    if not sys.stderr.isatty():
        with in_lines("training") as lines:
            before: int | None = None  # steps of a run that is gone on with, which took no time

            def tell(done: int, total: int, title: str) -> None:
                nonlocal before
                before = done - 1 if before is None else before
                lines.description = f"training, {title}"
                lines(done - before, total - before)

            yield tell
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True)) as bar:
        task = bar.add_task("")
        yield lambda done, total, title: bar.update(
            task, completed=done, total=total, description=title
        )
