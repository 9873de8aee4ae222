"""The config and its YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from h2q.errors import InvalidInputError
from h2q.learning import TrainConfig


def test_yaml_round_trip(tmp_path: Path) -> None:
    config = TrainConfig(
        n_bits=16, loss="hyp2", loss_options={"beta": 0.75}, patience=None, precision="bf16"
    )
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert TrainConfig.from_yaml(path) == config


def test_a_file_may_name_few_keys(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("n_bits: 32\nlearning_rate: 1e-4\nweight_decay: 0\n")
    config = TrainConfig.from_yaml(path)
    assert config == TrainConfig(n_bits=32, learning_rate=1e-4)
    assert isinstance(config.weight_decay, float)
    path.write_text("")
    assert TrainConfig.from_yaml(path) == TrainConfig()


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("n_bit", "n_bits"), ("learning_rte", "learning_rate"), ("epoch", "epochs")],
)
def test_typo_names_the_nearest_key(typo: str, meant: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"{typo}: 3\n")
    with pytest.raises(InvalidInputError, match=rf"config\.yaml: .*{typo}.*{meant}"):
        TrainConfig.from_yaml(path)
    with pytest.raises(InvalidInputError, match=meant):
        TrainConfig().with_options(**{typo: 3})


def test_word_like_no_key_lists_them_all() -> None:
    with pytest.raises(InvalidInputError, match=r"keys are: dataset, .*deterministic"):
        TrainConfig.from_dict({"zzzz": 1})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": "ten"}, "epochs: expected a whole number, got 'ten'"),
        ({"epochs": 2.5}, "epochs: expected a whole number"),
        ({"epochs": True}, "epochs: expected a whole number"),
        ({"learning_rate": "fast"}, "learning_rate: expected a number, got 'fast'"),
        ({"freeze_backbone": 1}, "freeze_backbone: expected true or false"),
        ({"loss": 3}, "loss: expected text"),
        ({"loss_options": [1]}, "loss_options: expected a mapping"),
        ({"optimizer": "lion"}, "optimizer: expected one of 'adam', 'adamw', 'sgd'"),
        ({"precision": 32}, "write it in quotes: '32'"),
        ({"patience": "long"}, "patience: expected a whole number or null"),
        ({"n_bits": 0}, "n_bits must be at least 1"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"learning_rate": 0}, "learning_rate must be positive"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive"),
        ({"random_state": -1}, "random_state must not be negative"),
    ],
)
def test_wrong_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TrainConfig.from_dict(values)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "n_bits: [", "\x00"])
def test_broken_files(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=r"config\.yaml"):
        TrainConfig.from_yaml(path)
    with pytest.raises(InvalidInputError, match="absent"):
        TrainConfig.from_yaml(tmp_path / "absent.yaml")


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"loss: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    with pytest.raises(InvalidInputError):
        TrainConfig.from_yaml(path)
    assert not (tmp_path / "made").exists()
