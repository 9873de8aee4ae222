"""Training told in a log, where there is no terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from h2q import _progress
from h2q.datasets import Dataset
from h2q.learning import fit
from h2q.learning.training import trainer


def test_each_stage_is_told_while_it_runs(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(_progress, "_FIRST_LINE", 0.0)
    monkeypatch.setattr(_progress, "_LONGEST_PAUSE", 0.0)
    options = {"backbone": "digits-cnn", "n_bits": 8, "epochs": 2, "freeze_backbone": True}
    fit(digits, out=tmp_path / "run", **options)
    told = capsys.readouterr().err
    steps = re.findall(r"training, epoch (\d)/2: (\d+) of (\d+) after \d+ s", told)
    assert {epoch for epoch, _, _ in steps} == {"1", "2"}
    done = [int(step) for _, step, _ in steps]
    assert done == sorted(done)
    assert str(done[-1]) == steps[-1][2]
    assert re.search(r"train features 1/1: \d+ of \d+ after", told)
    fit(digits, out=tmp_path / "quiet", progress=False, **options)
    assert capsys.readouterr().err == ""


def test_a_run_that_goes_on_tells_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(_progress, "_FIRST_LINE", 0.0)
    with trainer._bar(True) as show:
        show(91, 100, "epoch 10/10")
    assert capsys.readouterr().err == (
        "training, epoch 10/10: 1 of 10 after 0 s, about 0 s to go\n"
    )
