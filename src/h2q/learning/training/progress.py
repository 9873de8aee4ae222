"""What is kept of each epoch: metrics, the best weights, a checkpoint; and when to stop."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from h2q.errors import H2QError
from h2q.learning.training.run_folder import RunFolder

#: One row an epoch.
COLUMNS = ("epoch", "loss", "validation_map", "learning_rate", "seconds")


class TrainingError(H2QError):
    """Training cannot go on; what was reached before is kept."""


class Progress:
    """The history of a run, and its best epoch.

    Parameters
    ----------
    patience : int or None
        Epochs without a better validation mAP after which to stop.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.history: list[dict[str, float]] = []
        self.best_map = -math.inf
        self.best_epoch = -1
        self.stopped = False

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of it; plain values only."""
        return {
            "history": list(self.history),
            "best_map": self.best_map,
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.history = list(state["history"])
        self.best_map = state["best_map"]
        self.best_epoch = state["best_epoch"]
        self.stopped = state["stopped"]

    def add(self, epoch: int, loss: float, value: float, rate: float, seconds: float) -> bool:
        """Take in an epoch.

        Returns
        -------
        bool
            Whether it is the best so far.

        Raises
        ------
        TrainingError
            If loss or validation mAP is not a number.
        """
        if not (math.isfinite(loss) and math.isfinite(value)):
            raise TrainingError(
                f"epoch {epoch}: the loss is {loss} and the validation mAP {value}; try a lower "
                f"learning_rate or precision='32'. The run resumes from the epoch before"
            )
        row = (epoch, loss, value, rate, round(seconds, 3))
        self.history.append(dict(zip(COLUMNS, row, strict=True)))
        best = value > self.best_map
        if best:
            self.best_map, self.best_epoch = value, epoch
        self.stopped = self.patience is not None and epoch - self.best_epoch >= self.patience
        return best


#: Share of the time that saving may take.
_SAVING = 0.05


class Writer:
    """Writes the files of an epoch in a thread, while the next epoch is trained.

    A network of a hundred million weights takes longer to save than an epoch of few images to
    train. So an epoch is saved only when saving takes no more than a twentieth of the time; the
    first and the last one always are. The best weights are there before the checkpoint that says
    so. A run killed in between repeats some epochs, which gives the same weights again.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._last: Future[None] | None = None
        self._best: dict[str, torch.Tensor] | None = None
        self._spent = 0.0
        self._next = 0.0

    def epoch(
        self,
        state: Callable[[], dict[str, Any]],
        weights: dict[str, torch.Tensor],
        history: list[dict[str, float]],
        *,
        best: bool,
        last: bool,
    ) -> None:
        """Take in an epoch, and write it if it is time.

        Parameters
        ----------
        state : callable
            Gives what a checkpoint holds.
        weights : dict of str to Tensor
            Those of this epoch.
        history : list of dict
        best : bool
            Whether the weights are the best so far.
        last : bool
            Whether no epoch follows.
        """
        if best:
            self._best = {name: tensor.detach().clone() for name, tensor in weights.items()}
        if not last and time.perf_counter() < self._next:
            return
        self.wait()
        began = time.perf_counter()
        copied, found = on_cpu(state()), on_cpu(self._best)
        self._best = None
        self._spent = time.perf_counter() - began
        self._plan()
        self._last = self._pool.submit(self._write, copied, found, as_csv(history))

    def _write(
        self, state: dict[str, Any], best: dict[str, torch.Tensor] | None, text: str
    ) -> None:
        began = time.perf_counter()
        if best is not None:
            self._folder.save_best(best)
        self._folder.save_checkpoint(state)
        self._folder.write_metrics(text)
        self._spent += time.perf_counter() - began
        self._plan()

    def _plan(self) -> None:
        self._next = time.perf_counter() + self._spent * (1 / _SAVING - 1)

    def wait(self) -> None:
        """Return when all is written, or raise what went wrong."""
        if self._last is not None:
            last, self._last = self._last, None
            last.result()

    def close(self) -> None:
        """Write what was begun; nothing more comes."""
        self._pool.shutdown(wait=True)


def on_cpu(value: Any) -> Any:
    """Copy every tensor of nested dicts and lists: what they hold may change from now on.

    Their layouts are kept: an optimizer's state must have that of the weights.
    """
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: on_cpu(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(on_cpu(each) for each in value)
    return value


def as_csv(history: list[dict[str, float]]) -> str:
    """Rows of the history with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
