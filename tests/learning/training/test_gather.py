"""Two processes compute the loss, the gradients and the run of one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from h2q.learning.training.gather import gather_rows
from tests.learning.training import one_of_two, trained_on_two


def test_alone_nothing_is_gathered() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    assert gather_rows(rows) is rows


def test_two_processes_give_the_loss_and_gradients_of_one(tmp_path: Path) -> None:
    program = str(Path(one_of_two.__file__))
    outputs = [tmp_path / f"{rank}.pt" for rank in range(2)]
    processes = [
        subprocess.Popen(
            [sys.executable, program, str(rank), "2", str(tmp_path / "meet"), str(out)]
        )
        for rank, out in enumerate(outputs)
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    found = [torch.load(out, weights_only=True) for out in outputs]
    for name in ("cel", "hyp2", "dch"):
        expected = one_of_two.compute(name)
        assert expected["loss"] > 0
        assert any(key.startswith("loss.") for key in expected) == (name == "hyp2")
        for output in found:
            for key, value in output["results"][name].items():
                assert torch.allclose(value, expected[key], rtol=1e-5, atol=1e-7), (name, key)
    rows = [output["rows"].tolist() for output in found]
    assert len(rows[0]) == len(rows[1])
    assert sorted({*rows[0], *rows[1]}) == list(range(7))


@pytest.mark.slow
def test_a_run_on_two_processes_is_the_run_on_one(tmp_path: Path) -> None:
    program = str(Path(trained_on_two.__file__))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, program, str(tmp_path / "two")], check=True, timeout=500, env=environment
    )
    two = trained_on_two.train(str(tmp_path / "two"), devices=2)  # finished: it is loaded
    one = trained_on_two.train(str(tmp_path / "one"), devices=1)
    for row, other in zip(one.history, two.history, strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)
        assert row["validation_map"] == pytest.approx(other["validation_map"], rel=1e-3)
    ours, theirs = one.model.hash_layer.weight, two.model.hash_layer.weight
    assert torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5)
