"""What is kept each epoch: metrics, the best weights, a checkpoint; and when to stop."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint

from h2q.errors import H2QError
from h2q.learning.training.module import HashingModule
from h2q.learning.training.run_folder import RunFolder

#: One row an epoch.
COLUMNS = ("epoch", "loss", "validation_map", "learning_rate", "seconds")


class TrainingError(H2QError):
    """Training cannot go on; what was reached before is kept."""


class Recorder(Checkpoint):
    """Lightning's end of an epoch.

    The best weights are written before the checkpoint that says so: a run killed between the two
    repeats the epoch, which gives the same weights again.

    Parameters
    ----------
    folder : RunFolder
        Where to write.
    patience : int or None
        Epochs without a better validation mAP after which to stop.
    after_epoch : callable, optional
        Called with the epoch before the checkpoint is written.
    """

    def __init__(
        self,
        folder: RunFolder,
        patience: int | None,
        after_epoch: Callable[[int], None] | None = None,
    ) -> None:
        self.folder = folder
        self.patience = patience
        self.after_epoch = after_epoch
        self.history: list[dict[str, float]] = []
        self.best_map = -math.inf
        self.best_epoch = -1
        self.stopped = False
        self._started = time.perf_counter()

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of this callback; plain values only."""
        return {
            "history": self.history,
            "best_map": self.best_map,
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.history = list(state_dict["history"])
        self.best_map = state_dict["best_map"]
        self.best_epoch = state_dict["best_epoch"]
        self.stopped = state_dict["stopped"]

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Stay stopped where the resumed run had stopped."""
        self._started = time.perf_counter()
        if self.stopped:
            trainer.should_stop = True

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Record the epoch."""
        module = _ours(pl_module)
        metrics = trainer.callback_metrics
        epoch, now = trainer.current_epoch, time.perf_counter()
        loss, value = float(metrics["loss_epoch"]), float(metrics["validation_map"])
        if not (math.isfinite(loss) and math.isfinite(value)):
            raise TrainingError(
                f"epoch {epoch}: the loss is {loss} and the validation mAP {value}; try a lower "
                f"learning_rate or precision='32'. The run resumes from the epoch before"
            )
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        row = (epoch, loss, value, rate, round(now - self._started, 3))
        self._started = now
        self.history.append(dict(zip(COLUMNS, row, strict=True)))
        if value > self.best_map:
            self.best_map, self.best_epoch = value, epoch
            if trainer.is_global_zero:
                self.folder.save_best(module.embedder)
        self.stopped = self.patience is not None and epoch - self.best_epoch >= self.patience
        trainer.should_stop = trainer.should_stop or self.stopped
        if self.after_epoch is not None:
            self.after_epoch(epoch)
        self.folder.save_checkpoint(trainer)
        if trainer.is_global_zero:
            self.folder.write_metrics(as_csv(self.history))


def as_csv(history: list[dict[str, float]]) -> str:
    """Rows of the history with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


class AlternatingStep(lightning.Callback):
    """The loss's own half of an alternating optimisation (ADSH), after each epoch.

    Parameters
    ----------
    inputs : callable
        Rows to the network's inputs, in batches.
    """

    def __init__(self, inputs: Callable[[torch.Tensor], Any]) -> None:
        self.inputs = inputs

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Embed the rows the loss asks for and hand them over."""
        module = _ours(pl_module)
        loss: Any = module.loss
        rows = loss.rows_to_embed(trainer.current_epoch)
        if rows is None:
            return
        training = module.embedder.training
        module.embedder.eval()
        with torch.no_grad():
            z = [module.embedder(x.to(module.device)).float() for x in self.inputs(rows)]
            loss.on_epoch_end(torch.cat(z), rows.to(module.device))
        module.embedder.train(training)


def _ours(module: lightning.LightningModule) -> HashingModule:
    if not isinstance(module, HashingModule):
        raise TypeError(f"made for HashingModule, not {type(module).__name__}")
    return module
