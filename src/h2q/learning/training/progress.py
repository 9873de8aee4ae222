"""What is kept of each epoch: metrics, the best weights, a checkpoint; and when to stop."""

from __future__ import annotations

import csv
import io
import math
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


class Writer:
    """Writes the files of an epoch in a thread, while the next epoch is trained.

    Files of an epoch are written in their order, and those of the epoch before first: the best
    weights are there before the checkpoint that says so. A run killed in between repeats an epoch
    or two, which gives the same weights again.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._pool = ThreadPoolExecutor(max_workers=1)
        self._last: Future[None] | None = None

    def write(
        self, state: dict[str, Any], best: dict[str, torch.Tensor] | None, history: Any
    ) -> None:
        """Copy the tensors, and write them soon; waits for the epoch before."""
        self.wait()
        state, best = on_cpu(state), on_cpu(best)
        text = as_csv(list(history))
        self._last = self._pool.submit(self._write, state, best, text)

    def _write(
        self, state: dict[str, Any], best: dict[str, torch.Tensor] | None, text: str
    ) -> None:
        if best is not None:
            self._folder.save_best(best)
        self._folder.save_checkpoint(state)
        self._folder.write_metrics(text)

    def wait(self) -> None:
        """Return when all is written, or raise what went wrong."""
        if self._last is not None:
            last, self._last = self._last, None
            last.result()

    def close(self) -> None:
        """Write what was begun; nothing more comes."""
        self._pool.shutdown(wait=True)


def on_cpu(value: Any) -> Any:
    """Copy every tensor of nested dicts and lists: what they hold may change from now on."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True).contiguous()
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
