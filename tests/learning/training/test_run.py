"""`fit` from data set to run folder."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import h2q
from h2q.datasets import Dataset
from h2q.errors import H2QError, InvalidInputError
from h2q.evaluation import mean_average_precision
from h2q.learning import Hasher, TrainConfig, backbones, fit, losses

FAST: dict[str, Any] = {
    "n_bits": 16,
    "batch_size": 32,
    "random_state": 3,
    "quantizer": "itq",
    "progress": False,
}


def _map(model: Hasher, dataset: Dataset) -> float:
    query, database = (
        model.quantizer.rotate(model.embed_items(items))
        for items in (dataset.query, dataset.database)
    )
    return mean_average_precision(
        query, database, dataset.query.labels, dataset.database.labels, rank="hamming"
    )


def test_digits_end_to_end(digits: Dataset, tmp_path: Path) -> None:
    result = fit(
        digits, out=tmp_path, backbone="digits-cnn", epochs=12, **{**FAST, "quantizer": "h2q"}
    )
    untrained = Hasher("digits-cnn", 16)
    rows = untrained.embed_items(digits.train)
    untrained.set_quantizer(h2q.HouseholderQuantizer(random_state=0).fit(rows))
    assert _map(result.model, digits) > _map(untrained, digits) + 0.2
    assert _map(result.model, digits) > 0.85
    assert result.best_validation_map == max(row["validation_map"] for row in result.history)
    assert result.history[-1]["loss"] < result.history[0]["loss"] / 2


def test_run_folder(few_digits: Dataset, tmp_path: Path) -> None:
    result = fit(few_digits, out=tmp_path / "run", backbone="digits-cnn", epochs=2, **FAST)
    folder = result.run_dir
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md",
        "checkpoints",
        "config.yaml",
        "loss.png",
        "metrics.csv",
        "model.safetensors",
        "tensorboard",
        "validation_map.png",
    }
    assert any((folder / "tensorboard").glob("events.*"))
    assert not any(path.name.startswith(".") for path in folder.rglob("*"))
    with (folder / "metrics.csv").open() as file:
        table = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
    assert table == result.history
    assert [row["epoch"] for row in table] == [0, 1]
    config = TrainConfig.from_yaml(folder / "config.yaml")
    assert (config.n_bits, config.backbone, config.dataset) == (16, "digits-cnn", "digits")
    card = (folder / "README.md").read_text()
    assert f"{result.best_validation_map:.4f}" in card
    loaded = Hasher.load(folder / "model.safetensors")
    assert loaded.facts["history"] == result.history
    assert np.array_equal(
        loaded.embed_items(few_digits.query), result.model.embed_items(few_digits.query)
    )


def test_finished_run_is_loaded_and_another_is_refused(
    make_features: Callable[..., Dataset], tmp_path: Path
) -> None:
    data = make_features()
    result = fit(data, out=tmp_path, epochs=2, **FAST)
    changed = (tmp_path / "model.safetensors").stat().st_mtime_ns
    again = fit(data, out=tmp_path, epochs=2, **FAST)
    assert (tmp_path / "model.safetensors").stat().st_mtime_ns == changed
    assert again.history == result.history
    with pytest.raises(InvalidInputError, match=r"epochs was 2, is 3.*--fresh"):
        fit(data, out=tmp_path, epochs=3, **FAST)
    with pytest.raises(InvalidInputError, match="data was"):
        fit(make_features(300), out=tmp_path, epochs=2, **FAST)
    third = fit(data, out=tmp_path, epochs=3, resume=False, **FAST)
    assert len(third.history) == 3


@pytest.mark.parametrize("quantizer", ["h2q", "itq", "random", "none"])
def test_quantizers(quantizer: str, make_features: Callable[..., Dataset], tmp_path: Path) -> None:
    result = fit(make_features(), out=tmp_path, epochs=1, **{**FAST, "quantizer": quantizer})
    kinds = {
        "h2q": h2q.HouseholderQuantizer,
        "itq": h2q.ITQQuantizer,
        "random": h2q.RandomRotationQuantizer,
        "none": h2q.SignQuantizer,
    }
    assert type(result.model.quantizer) is kinds[quantizer]
    assert (quantizer == "none") == torch.equal(result.model.rotation, torch.eye(16))


def test_same_seed_same_codes(make_features: Callable[..., Dataset], tmp_path: Path) -> None:
    data = make_features()
    codes = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        torch.rand(len(name))  # whatever was drawn before does not matter
        options = {**FAST, "random_state": seed, "deterministic": True}
        model = fit(data, out=tmp_path / name, epochs=2, **options).model
        codes.append(model.quantizer.transform(model.embed_items(data.query)))
    assert not torch.are_deterministic_algorithms_enabled()
    assert np.array_equal(codes[0], codes[1])
    assert not np.array_equal(codes[0], codes[2])


def test_early_stopping_keeps_the_best(
    make_features: Callable[..., Dataset], tmp_path: Path
) -> None:
    class Ruining(nn.Module):
        """Improves for two epochs, then pushes like items apart."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = losses.create("cel", n_bits=16, n_classes=5)
            self.sign = 1.0

        def on_epoch_start(self, epoch: int, n_epochs: int) -> None:
            assert n_epochs == 30
            self.sign = 1.0 if epoch < 2 else -1.0

        def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            loss: torch.Tensor = self.sign * self.inner(z, labels)
            return loss

    data = make_features()
    options = {**FAST, "learning_rate": 0.01, "epochs": 30, "patience": 3}
    result = fit(data, out=tmp_path, loss=Ruining(), **options)
    best = int(np.argmax([row["validation_map"] for row in result.history]))
    assert best < 3
    assert len(result.history) == best + 1 + 3
    rows = [result.model.embed_items(items) for items in (data.validation, data.train)]
    value = mean_average_precision(*rows, data.validation.labels, data.train.labels, rank="cosine")
    assert value == pytest.approx(result.best_validation_map, abs=1e-4)


def test_multilabel_and_no_validation(
    make_features: Callable[..., Dataset], tmp_path: Path
) -> None:
    data = make_features(multilabel=True, with_validation=False)
    assert len(data.validation) == 0
    result = fit(data, out=tmp_path, epochs=6, **FAST)
    assert result.model.facts["n_train"] < len(data.train)
    assert result.history[-1]["validation_map"] > result.history[0]["validation_map"]


@pytest.mark.parametrize("name", losses.names())
def test_every_loss_trains(
    name: str, make_features: Callable[..., Dataset], tmp_path: Path
) -> None:
    data = make_features()
    result = fit(data, out=tmp_path, loss=name, epochs=4, learning_rate=0.01, **FAST)
    torch.manual_seed(0)
    layer = Hasher(backbones.create("features", n_features=24), 16)
    before = mean_average_precision(
        layer.embed_items(data.validation),
        layer.embed_items(data.train),
        data.validation.labels,
        data.train.labels,
        rank="cosine",
    )
    assert result.best_validation_map > before + 0.1


def test_frozen_backbone_is_frozen(few_digits: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = backbones.create("digits-cnn")
    before = {name: t.clone() for name, t in backbone.state_dict().items()}
    options = {**FAST, "freeze_backbone": True, "epochs": 2}
    for out, augment in (("cached", "none"), ("augmented", "flip")):
        model = fit(
            few_digits, out=tmp_path / out, backbone=backbone, augment=augment, **options
        ).model
        for name, tensor in model.backbone.state_dict().items():
            assert torch.equal(tensor, before[name]), name
    assert (tmp_path / "cached" / "features").is_dir()
    assert not (tmp_path / "augmented" / "features").exists()


def test_cache_is_shared_between_runs(few_digits: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = backbones.create("digits-cnn")
    options = {**FAST, "freeze_backbone": True, "epochs": 1, "feature_cache": tmp_path / "kept"}
    fit(few_digits, out=tmp_path / "a", backbone=backbone, **options)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").rglob("*.npy")}
    fit(few_digits, out=tmp_path / "b", backbone=backbone, loss="dch", **options)
    assert written
    assert written == {p: p.stat().st_mtime_ns for p in (tmp_path / "kept").rglob("*.npy")}


def test_metric_learning_losses_miners_and_samplers(
    make_features: Callable[..., Dataset], tmp_path: Path
) -> None:
    from pytorch_metric_learning import losses as theirs
    from pytorch_metric_learning import miners, samplers

    data = make_features()
    sampler = samplers.MPerClassSampler(data.train.labels, m=8, length_before_new_iter=160)
    options = {**FAST, "epochs": 5, "learning_rate": 0.01}
    result = fit(
        data,
        out=tmp_path / "triplet",
        loss=theirs.TripletMarginLoss(margin=0.2),
        miner=miners.TripletMarginMiner(margin=0.2),
        sampler=sampler,
        **options,
    )
    assert result.best_validation_map > 0.5
    anchor = theirs.ProxyAnchorLoss(num_classes=5, embedding_size=16)
    before = anchor.proxies.detach().clone()
    assert fit(data, out=tmp_path / "anchor", loss=anchor, **options).best_validation_map > 0.5
    assert anchor.proxies.device == before.device  # the loss is the caller's
    assert not torch.equal(anchor.proxies.detach(), before)


def test_penalty(make_features: Callable[..., Dataset], tmp_path: Path) -> None:
    data = make_features()
    errors = []
    for name, penalty in (("without", None), ("with", "l2")):
        options = {**FAST, "epochs": 8, "learning_rate": 0.01, "quantizer": "none"}
        result = fit(data, out=tmp_path / name, penalty=penalty, penalty_weight=1.0, **options)
        errors.append(result.model.facts["quantization_error"])
    assert errors[1] < errors[0]


def test_own_penalty(make_features: Callable[..., Dataset], tmp_path: Path) -> None:
    options = {**FAST, "epochs": 1, "penalty": "own", "squash": True}
    for name in ("dsh", "adsh"):
        error = pytest.raises(InvalidInputError, match="no quantization term")
        with error if name == "adsh" else contextlib.nullcontext():
            fit(make_features(), out=tmp_path / name, loss=name, **options)


def test_schedule_and_rates(few_digits: Dataset, tmp_path: Path) -> None:
    options = {**FAST, "epochs": 4, "schedule": "cosine", "optimizer": "sgd"}
    result = fit(few_digits, out=tmp_path, backbone="digits-cnn", learning_rate=0.01, **options)
    rates = [row["learning_rate"] for row in result.history]
    assert rates == pytest.approx([0.01 * 0.5 * (1 + np.cos(np.pi * e / 4)) for e in range(4)])


def test_precision(make_features: Callable[..., Dataset], tmp_path: Path) -> None:
    options = {**FAST, "epochs": 3, "learning_rate": 0.01, "accelerator": "cpu"}
    half, full = (
        fit(make_features(), out=tmp_path / p, precision=p, **options) for p in ("bf16", "32")
    )
    assert half.best_validation_map == pytest.approx(full.best_validation_map, abs=0.05)
    assert half.model.hash_layer.weight.dtype == torch.float32
    if not torch.cuda.is_available():
        with pytest.raises(InvalidInputError, match="needs a GPU"):
            fit(make_features(), out=tmp_path / "16", precision="16", **options)
        with pytest.raises(InvalidInputError, match="accelerator='gpu'"):
            fit(make_features(), out=tmp_path / "gpu", **{**options, "accelerator": "gpu"})


def test_loss_that_explodes_says_so(make_features: Callable[..., Dataset], tmp_path: Path) -> None:
    class Exploding(nn.Module):
        def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return z.sum() * float("nan")

    with pytest.raises(H2QError, match=r"lower\s+learning_rate"):
        fit(make_features(), out=tmp_path, loss=Exploding(), epochs=2, **FAST)
    assert not (tmp_path / "model.safetensors").exists()


def test_bad_arguments(
    digits: Dataset, make_features: Callable[..., Dataset], tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match="did you mean 'epochs'"):
        fit(digits, out=tmp_path, backbone="digits-cnn", epoch=3)
    with pytest.raises(InvalidInputError, match="choose a backbone"):
        fit(digits, out=tmp_path)
    with pytest.raises(InvalidInputError, match="backbone='features'"):
        fit(make_features(), out=tmp_path / "a", backbone="digits-cnn")
    with pytest.raises(InvalidInputError, match="cel"):
        fit(digits, out=tmp_path / "b", backbone="digits-cnn", loss="cell")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidInputError, match="cannot write the run"):
        fit(digits, out=tmp_path / "file", backbone="digits-cnn")
    with pytest.raises(InvalidInputError, match="multiple of devices"):
        fit(make_features(), out=tmp_path / "c", batch_size=33, devices=2)
