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
        ({"epochs": "ten"}, r"epochs: .*integer, got 'ten' \(str\)"),
        ({"epochs": 2.5}, "epochs: .*integer, got 2.5"),
        ({"epochs": True}, "epochs: .*integer, got True"),
        ({"learning_rate": "fast"}, "learning_rate: .*number, got 'fast'"),
        ({"learning_rate": True}, "learning_rate: .*number, got True"),
        ({"freeze_backbone": 1}, "freeze_backbone: .*boolean, got 1"),
        ({"loss": 3}, "loss: .*string, got 3"),
        ({"loss_options": [1]}, "loss_options: .*dictionary"),
        ({"loss_options": {1: 2}}, "loss_options.*string, got 1"),
        ({"optimizer": "lion"}, "optimizer: .*'adam', 'adamw' or 'sgd'"),
        ({"precision": 32}, "precision: .*'bf16'.*write it in quotes: '32'"),
        ({"patience": "long"}, "patience: .*integer, got 'long'"),
        ({"n_bits": 0}, "n_bits: .*greater than or equal to 1, got 0"),
        ({"patience": 0}, "patience: .*greater than or equal to 1"),
        ({"learning_rate": 0}, "learning_rate: .*greater than 0"),
        ({"learning_rate": float("nan")}, "learning_rate: .*, got nan"),
        ({"random_state": -1}, "random_state: .*greater than or equal to 0"),
        ({"held_gib": -1}, "held_gib: .*greater than or equal to 0"),
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
