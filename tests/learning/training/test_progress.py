"""What is saved of an epoch, and when."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from h2q.learning.training import progress
from h2q.learning.training.progress import Writer, on_cpu
from h2q.learning.training.run_folder import CHECKPOINT, RunFolder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path)
    made.checkpoints.mkdir()
    return made


def _epoch(writer: Writer, epoch: int, weight: torch.Tensor, **how: bool) -> None:
    state: dict[str, Any] = {"format": CHECKPOINT, "epoch": epoch, "embedder": {"w": weight}}
    row = {"epoch": epoch, "loss": 1.0, "validation_map": 0.5, "learning_rate": 0.1, "seconds": 1.0}
    options = {"best": False, "last": False} | how
    writer.epoch(lambda: state, {"w": weight}, [row], **options)


def test_what_is_written_is_what_was_when_it_was_taken(folder: RunFolder) -> None:
    writer, weight = Writer(folder), torch.arange(4.0)
    _epoch(writer, 0, weight, best=True)
    weight.add_(100)  # the next epoch trains on
    writer.close()
    assert folder.load_checkpoint()["embedder"]["w"].tolist() == [0, 1, 2, 3]
    assert safetensors.torch.load_file(folder.best)["w"].tolist() == [0, 1, 2, 3]
    assert folder.metrics.read_text().startswith("epoch,loss")


def test_saving_takes_a_small_share_of_the_time(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, weight, saved = Writer(folder), torch.zeros(1), []
    write = RunFolder.save_checkpoint

    def slow(self: RunFolder, state: dict[str, Any]) -> None:
        time.sleep(0.05)
        saved.append(state["epoch"])
        write(self, state)

    monkeypatch.setattr(RunFolder, "save_checkpoint", slow)
    monkeypatch.setattr(progress, "_SAVING", 0.2)
    for epoch in range(60):
        _epoch(writer, epoch, weight + epoch, best=epoch < 30, last=epoch == 59)
        writer.wait()
        time.sleep(0.01)
    writer.close()
    assert saved[0] == 0
    assert saved[-1] == 59
    assert 3 <= len(saved) <= 12
    # The best weights are those of the best epoch, though that was not saved itself.
    assert safetensors.torch.load_file(folder.best)["w"].tolist() == [29]


def test_what_goes_wrong_in_writing_is_raised(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RunFolder, state: dict[str, Any]) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(RunFolder, "save_checkpoint", full)
    writer = Writer(folder)
    _epoch(writer, 0, torch.zeros(1))
    with pytest.raises(OSError, match="no space"):
        writer.wait()
    writer.close()


def test_copies_keep_their_layout() -> None:
    weight = torch.zeros(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    copied = on_cpu({"a": [weight, 3], "b": (weight,)})
    assert copied["a"][0].is_contiguous(memory_format=torch.channels_last)
    assert copied["a"][0].data_ptr() != weight.data_ptr()
    assert copied["a"][1] == 3
