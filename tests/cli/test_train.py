from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

H2Q = Callable[..., Any]


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """Four classes that a linear layer can tell apart."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 40)
    rows = rng.standard_normal((4, 12))[labels] + 0.3 * rng.standard_normal((160, 12))
    split = np.tile(["train", "train", "validation", "query", "database"], 32)
    path = tmp_path / "features.npz"
    np.savez(path, features=rows.astype(np.float32), labels=labels, split=split)
    return path


def test_train_on_features_with_flags_and_config(h2q: H2Q, features: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"dataset: npz:{features}\nn_bits: 4\nepochs: 9\nbatch_size: 32\n")
    run = tmp_path / "run"
    outcome = h2q(
        "train", "--config", config, "--bits", 8, "--epochs", 3, "--lr", 0.01, "--set",
        "loss_options.separation=0.1", "--out", run, "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome
    facts = json.loads(outcome.out)
    assert facts["n_bits"] == 8
    assert facts["epochs"] == 3
    assert facts["validation_map"] > 0.5
    written = yaml.safe_load((run / "config.yaml").read_text())
    assert (written["n_bits"], written["epochs"], written["batch_size"]) == (8, 3, 32)
    assert written["loss_options"] == {"separation": 0.1}
    assert (run / "model.safetensors").exists()


def test_a_run_is_judged_from_another_folder(
    h2q: H2Q, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    features.rename(home / "rows.npz")
    monkeypatch.chdir(home)
    assert (
        h2q("train", "--data", "npz:rows.npz", "--epochs", 1, "--bits", 8, "--out", "run").code == 0
    )
    here = json.loads(h2q("eval", "--model", "run", "--json").out)
    monkeypatch.chdir(elsewhere)
    there = json.loads(h2q("eval", "--model", home / "run", "--json").out)
    assert there["cosine_bound"] == here["cosine_bound"]
    (home / "rows.npz").rename(home / "run" / "rows.npz")  # sent away together
    assert h2q("eval", "--model", home / "run", "--json").code == 0
    (home / "run" / "rows.npz").rename(tmp_path / "gone.npz")
    outcome = h2q("eval", "--model", home / "run")
    assert outcome.code == 1
    for place in (home, elsewhere, home / "run"):  # where it was made, here, beside the model
        assert str(place / "rows.npz") in outcome.err
    assert "--data" in outcome.err
    judged = h2q("eval", "--model", home / "run", "--data", tmp_path / "gone.npz", "--json")
    assert judged.code == 0, judged


def test_another_run_is_not_overwritten_unless_fresh(
    h2q: H2Q, features: Path, tmp_path: Path
) -> None:
    command = ["train", "--data", features, "--epochs", 1, "--out", tmp_path / "run"]
    assert h2q(*command, "--bits", 8).code == 0
    outcome = h2q(*command, "--bits", 4)
    assert outcome.code == 1, outcome
    assert "holds a run that differs" in outcome.err
    assert h2q(*command, "--bits", 4, "--fresh").code == 0


def test_typo_in_the_config_names_the_nearest_key(h2q: H2Q, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("dataset: digits\nlearning_rat: 0.1\n")
    outcome = h2q("train", "--config", config, "--out", tmp_path / "run")
    assert outcome.code == 1
    assert "did you mean 'learning_rate'" in outcome.err
