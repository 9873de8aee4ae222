"""What a GPU gives is what a processor gives, and a run on it can be repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import h2q
from h2q.datasets import Dataset
from h2q.learning import Hasher, TrainConfig, fit
from h2q.learning.training.feature_cache import FeatureCache
from h2q.learning.training.sources import make_sources
from tests.learning.training.test_resume import Interrupting, _assert_same

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
OPTIONS: dict[str, Any] = {
    "backbone": "digits-cnn",
    "n_bits": 8,
    "batch_size": 32,
    "epochs": 4,
    "learning_rate": 0.01,
    "augment": "flip",
    "progress": False,
    "quantizer": "itq",
    "deterministic": True,
}


def _trained(digits: Dataset, out: Path, **options: Any) -> Hasher:
    return fit(digits, out=out, **{**OPTIONS, "n_bits": 32, **options}).model


def test_the_codes_are_those_of_the_cpu(digits: Dataset, tmp_path: Path) -> None:
    model = _trained(digits, tmp_path)
    there = model.embed_items(digits.database)
    here = model.cuda().embed_items(digits.database)
    assert np.allclose(here, there, rtol=1e-3, atol=1e-3 * np.abs(there).max())
    codes = [np.unpackbits(model.quantizer.transform(rows)) for rows in (here, there)]
    assert np.mean(codes[0] != codes[1]) < 1e-3
    assert model.flipped_bits(digits.database, "bf16") > 0


def test_sixteen_bits_only_when_asked_and_stated(digits: Dataset, tmp_path: Path) -> None:
    model = _trained(digits, tmp_path, embed_precision="bf16", epochs=1)
    assert model.precision == "bf16"
    assert 0 < model.facts["flipped_bits"] < 0.1
    assert "of the validation items' bits differ" in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize("precision", ["32", "bf16", "16"])
def test_deterministic_runs_resume_bit_for_bit(
    digits: Dataset, precision: str, tmp_path: Path
) -> None:
    options = {**OPTIONS, "precision": precision}
    whole = fit(digits, out=tmp_path / "whole", loss=Interrupting(None, 10), **options)
    with pytest.raises(RuntimeError, match="broken off"):
        fit(digits, out=tmp_path / "broken", loss=Interrupting(70, 10), **options)
    again = fit(digits, out=tmp_path / "broken", loss=Interrupting(None, 10), **options)
    _assert_same(whole, again)


@pytest.mark.parametrize("freeze", [False, True])
def test_inputs_are_held_on_the_gpu(few_digits: Dataset, freeze: bool, tmp_path: Path) -> None:
    hasher = Hasher("digits-cnn", 8)
    sources = make_sources(
        few_digits,
        hasher,
        TrainConfig(freeze_backbone=freeze),
        lambda: FeatureCache(tmp_path, hasher.backbone),
        progress=False,
    )
    assert sources.train_batches.labels.is_cuda
    assert sources.on_features == freeze
    # Features are computed where the backbone is.
    assert next(hasher.backbone.parameters()).is_cuda == freeze


@pytest.mark.parametrize("quantizer", [h2q.HouseholderQuantizer, h2q.ITQQuantizer])
def test_rotations_are_orthogonal(quantizer: Any) -> None:
    generator = torch.Generator(device="cuda").manual_seed(0)
    rows = torch.randn(20_000, 128, device="cuda", generator=generator)
    rotation = quantizer(random_state=0).fit(rows**3).rotation_.double().cpu().numpy()
    assert np.abs(rotation.T @ rotation - np.eye(128)).max() < 1e-6
