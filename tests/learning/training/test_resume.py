"""A killed run, resumed, ends where the uninterrupted run ends."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from h2q.datasets import Dataset
from h2q.learning import TrainingResult, fit, losses
from tests.learning.training import trained_and_killed


def _assert_same(one: TrainingResult, two: TrainingResult) -> None:
    for row, other in zip(one.history, two.history, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}
    expected = one.model.state_dict()
    for name, tensor in two.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    assert one.best_validation_map == two.best_validation_map


@pytest.mark.slow
def test_sigkill_at_a_random_moment(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    program = str(Path(trained_and_killed.__file__))
    run = subprocess.Popen([sys.executable, program, str(killed)])
    checkpoint = killed / "checkpoints" / "last.ckpt"
    uninterrupted = trained_and_killed.train(str(whole))
    epoch = float(np.median([row["seconds"] for row in uninterrupted.history]))
    while run.poll() is None and not checkpoint.exists():
        time.sleep(0.02)
    time.sleep(random.uniform(0, 3 * epoch))  # noqa: S311 - any moment will do
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert checkpoint.exists()
    _assert_same(uninterrupted, trained_and_killed.train(str(killed)))


def test_sigterm_ends_a_run_that_resumes(tmp_path: Path) -> None:
    """A scheduler's SIGTERM: no traceback, no process left, and the same end."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    program = str(Path(trained_and_killed.__file__))
    run = subprocess.Popen(
        [sys.executable, program, str(killed), "command"], stderr=subprocess.PIPE, text=True
    )
    checkpoint = killed / "checkpoints" / "last.ckpt"
    while run.poll() is None and not checkpoint.exists():
        time.sleep(0.02)
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=60)
    assert run.returncode in (143, 0), err  # 0: it was over before
    assert "Traceback" not in err
    assert not (killed / "model.safetensors").exists() or run.returncode == 0
    assert not list((killed / "checkpoints").glob(".*"))
    before = signal.getsignal(signal.SIGTERM)  # another library of this process may have its own
    resumed = trained_and_killed.train(str(killed))
    _assert_same(trained_and_killed.train(str(whole)), resumed)
    assert signal.getsignal(signal.SIGTERM) is before


class Interrupting(nn.Module):
    """A loss that breaks off at its n-th call, unless that is None."""

    def __init__(self, at: int | None, n_classes: int = 5) -> None:
        super().__init__()
        self.inner = losses.create("hyp2", n_bits=8, n_classes=n_classes, random_state=0)
        self.at, self.calls = at, 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Interrupting:
        raise TypeError("it counts its calls, so it is not tried before the training")

    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls == self.at:
            raise RuntimeError("broken off")
        value: torch.Tensor = self.inner(z, labels)
        return value


@pytest.mark.parametrize("at", [1, 14, 19, 30])
def test_breaking_off_at_any_step(
    at: int, make_features: Callable[..., Dataset], tmp_path: Path
) -> None:
    data = make_features()  # 200 items: 6 steps an epoch
    options: dict[str, Any] = {
        "n_bits": 8, "batch_size": 32, "epochs": 5, "learning_rate": 0.01,
        "progress": False, "quantizer": "itq", "deterministic": True,
    }  # fmt: skip
    whole = fit(data, out=tmp_path / "whole", loss=Interrupting(None), **options)
    with pytest.raises(RuntimeError, match="broken off"):
        fit(data, out=tmp_path / "broken", loss=Interrupting(at), **options)
    _assert_same(whole, fit(data, out=tmp_path / "broken", loss=Interrupting(None), **options))


def test_alternating_loss_resumes(
    make_features: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from h2q.learning.losses.adsh import ADSHLoss

    data = make_features()
    options: dict[str, Any] = {
        "n_bits": 8, "batch_size": 32, "epochs": 5, "learning_rate": 0.01,
        "progress": False, "quantizer": "itq", "deterministic": True,
        "loss": "adsh", "loss_options": {"n_sampled": 100, "inner_epochs": 2},
    }  # fmt: skip
    whole = fit(data, out=tmp_path / "whole", **options)
    forward, calls = ADSHLoss.forward, []

    def breaking(self: ADSHLoss, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 11:  # 3 steps an epoch: in the fourth
            raise RuntimeError("broken off")
        return forward(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(ADSHLoss, "forward", breaking)
        with pytest.raises(RuntimeError, match="broken off"):
            fit(data, out=tmp_path / "broken", **options)
    _assert_same(whole, fit(data, out=tmp_path / "broken", **options))


def test_a_stopped_run_stays_stopped(make_features: Callable[..., Dataset], tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "n_bits": 8, "batch_size": 32, "epochs": 40, "patience": 2, "learning_rate": 0.1,
        "progress": False, "quantizer": "itq", "deterministic": True,
    }  # fmt: skip
    data = make_features()
    whole = fit(data, out=tmp_path, **options)
    assert len(whole.history) < 40
    (tmp_path / "model.safetensors").unlink()  # as if killed before the model was written
    _assert_same(whole, fit(data, out=tmp_path, **options))


def test_truncated_checkpoint_says_so(
    make_features: Callable[..., Dataset], tmp_path: Path
) -> None:
    from h2q.errors import FormatError

    options: dict[str, Any] = {"n_bits": 8, "epochs": 1, "quantizer": "itq", "progress": False}
    fit(make_features(), out=tmp_path, **options)
    (tmp_path / "model.safetensors").unlink()
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.raises(FormatError, match=r"last\.ckpt.*--fresh"):
        fit(make_features(), out=tmp_path, **options)
