"""Backbones and losses of one's own: trained, saved, loaded again; refused before training."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import h2q
from h2q._seal import sealed
from h2q.datasets import Dataset
from h2q.errors import FormatError, InvalidInputError
from h2q.learning import Hasher, TrainConfig, backbones, fit, losses
from h2q.learning.backbones import Preprocessing, own

Make = Callable[..., Dataset]
FAST = {"n_bits": 8, "epochs": 2, "learning_rate": 0.01, "progress": False}
SMALL = Preprocessing(size=(1, 8, 8), mean=(0.3,), std=(0.38,), crop_pct=1.0)


class Mlp(nn.Module):
    """Takes rows; keeps its arguments."""

    def __init__(self, width: int = 7, slope: float = 0.0) -> None:
        super().__init__()
        self.width, self.slope = width, slope
        self.layer = nn.Linear(24, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.leaky_relu(self.layer(x), self.slope)


class Forgetful(Mlp):
    """Does not keep its arguments, which no weight shows."""

    def __init__(self, negative: float = 0.0) -> None:
        super().__init__(slope=negative)


class Needing(Mlp):
    def __init__(self, columns: int) -> None:
        super().__init__(width=columns)


class Tied(Mlp):
    """Two names for one weight, and a part that is drawn up by hand."""

    def __init__(self) -> None:
        super().__init__(width=24)
        self.again = nn.Linear(24, 24)
        self.again.weight = self.layer.weight


class Endless(Mlp):
    """Has a buffer that is not finite, as masks of attention are; no model file holds that."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.tensor([float("-inf")]))


def make_mlp(width: int = 5) -> nn.Module:
    return Mlp(width=width)


class Spread(nn.Module):
    """A loss: cosines against shared labels."""

    def __init__(self, n_classes: int, margin: float = 0.0) -> None:
        super().__init__()
        self.margin, self.n_classes = margin, n_classes
        self.calls = 0

    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        z = nn.functional.normalize(z)
        target = (labels @ labels.T > 0).float()
        return ((z @ z.T).clamp_min(self.margin) - target).square().mean()


class Rows(nn.Module):
    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return z.sum(dim=1)


class Detached(nn.Module):
    def forward(self, z: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return z.detach().sum()


HERE = __name__


@pytest.mark.parametrize("freeze", [False, True])
def test_a_module_on_rows_is_trained_saved_and_loaded(
    make_features: Make, tmp_path: Path, freeze: bool
) -> None:
    data = make_features()
    module, loss = Mlp(width=20, slope=0.3), Spread(5, margin=0.1)
    before = module.layer.weight.detach().clone()
    options = {**FAST, "backbone": module, "loss": loss, "freeze_backbone": freeze}
    result = fit(data, out=tmp_path, **options)
    assert torch.equal(before, module.layer.weight) == freeze
    loaded = Hasher.load(tmp_path / "model.safetensors", backbone=Mlp)
    assert (loaded.backbone.network.width, loaded.backbone.network.slope) == (20, 0.3)
    assert torch.equal(loaded.backbone.network.layer.weight, module.layer.weight)
    rows = loaded.embed_items(data.query)
    assert np.array_equal(rows, result.model.embed_items(data.query))
    features = torch.from_numpy(data.query.features)
    expected = loaded.hash_layer(loaded.backbone.network(features)).detach().numpy()
    assert np.allclose(rows, expected, atol=1e-5)
    config = TrainConfig.from_yaml(
        tmp_path / "config.yaml", trusted=[f"{HERE}:Mlp", f"{HERE}:Spread"]
    )
    assert (config.backbone, config.loss) == (f"{HERE}:Mlp", f"{HERE}:Spread")
    assert config.backbone_options == {"width": 20, "slope": 0.3}
    again = fit(data, out=tmp_path, **options)  # finished: loaded
    assert again.history == result.history
    with pytest.raises(InvalidInputError, match="differs: backbone_options"):
        fit(data, out=tmp_path, **{**options, "backbone": Mlp(width=9)})


@pytest.mark.parametrize("backbone", [make_mlp, f"{HERE}:make_mlp", Mlp, own(Mlp(6), n_inputs=24)])
def test_what_makes_a_module_is_as_good(make_features: Make, tmp_path: Path, backbone: Any) -> None:
    more = {} if isinstance(backbone, nn.Module) else {"backbone_options": {"width": 6}}
    options = {**FAST, "epochs": 1, **more}
    name = f"{HERE}:Spread"
    result = fit(
        make_features(), out=tmp_path, backbone=backbone, loss=name,
        loss_options={"margin": 0.2}, **options,
    )  # fmt: skip
    assert result.model.backbone.n_features == 6
    assert result.model.facts["loss"] == name


def test_weights_that_share_memory_are_saved(make_features: Make, tmp_path: Path) -> None:
    result = fit(make_features(), out=tmp_path, backbone=Tied(), **FAST)
    network = result.model.backbone.network
    assert torch.equal(network.again.weight, network.layer.weight)


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (Forgetful(0.5), "other features.*backbones.own"),
        (Needing(3), "argument 'columns'.*backbones.own"),
        (nn.Sequential(nn.Linear(24, 4)), r"cannot be saved(?s:.*)backbones\.own"),
        (Endless(), "not finite"),
        (nn.Linear(23, 4), r"cannot take a batch of shape \(2, 24\)"),
        (lambda: nn.Unflatten(1, (4, 6)), "must make rows"),
        (f"{HERE}:absent", "cannot be imported"),
        (f"{HERE}:SMALL", "no module, and no class"),
        (lambda: 3, "must give a torch.nn.Module"),
    ],
)
def test_backbones_that_cannot_be_are_refused_before_training(
    make_features: Make, tmp_path: Path, backbone: Any, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fit(make_features(), out=tmp_path / "run", backbone=backbone, **FAST)
    assert not (tmp_path / "run").exists()


def test_options_are_what_json_holds_and_of_ones_own(make_features: Make, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="nothing JSON can hold"):
        own(lambda width: Mlp(), {"width": object()}, n_inputs=24)
    with pytest.raises(InvalidInputError, match="made already"):
        own(Mlp(), {"width": 3}, n_inputs=24)
    with pytest.raises(InvalidInputError, match="cannot be made with the arguments"):
        own(Mlp, {"widht": 3}, n_inputs=24)
    with pytest.raises(InvalidInputError, match="say what it is fed"):
        own(Mlp)
    with pytest.raises(InvalidInputError, match="takes no options"):
        backbones.create("digits-cnn", options={"width": 3})
    with pytest.raises(InvalidInputError, match="takes rows"):
        backbones.create(Mlp, n_features=24, image_size=32)
    with pytest.raises(InvalidInputError, match=r"backbones\.own"):
        Hasher(Mlp(), 8)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (Rows(), "must give a scalar"),
        (Detached(), "without a gradient"),
        (nn.CrossEntropyLoss(), "cannot take embeddings"),
        (f"{HERE}:absent", "cannot be imported"),
        (f"{HERE}:HERE", "name a class"),
        (f"{HERE}:make_mlp", "cannot take embeddings"),
    ],
)
def test_losses_that_cannot_be_are_refused_before_training(
    make_features: Make, tmp_path: Path, loss: Any, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        fit(make_features(), out=tmp_path / "run", loss=loss, squash=True, **FAST)
    assert not (tmp_path / "run").exists()


def test_trying_leaves_everything_as_it_is() -> None:
    loss, module = Spread(3), nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout())
    state = torch.get_rng_state()
    losses.check_own(loss, n_bits=8, n_classes=3)
    own(lambda: module, n_inputs=4)
    assert loss.calls == 0
    assert torch.equal(state, torch.get_rng_state())
    assert all(each.training for each in module.modules())
    assert module[1].num_batches_tracked == 0
    made = losses.create(f"{HERE}:Spread", n_bits=8, n_classes=3, margin=0.5)
    assert (made.n_classes, made.margin) == (3, 0.5)
    with pytest.raises(InvalidInputError, match="did you mean 'margin'"):
        losses.create(f"{HERE}:Spread", n_bits=8, n_classes=3, margn=0.5)


EVIL = "from pathlib import Path\nPath('ran').touch()\nfrom torch.nn import Linear as Net\n"


def test_no_file_makes_h2q_import_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil_parts.py").write_text(EVIL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    backbone = own(nn.Linear, {"in_features": 24, "out_features": 4}, n_inputs=24)
    data = Hasher(backbone, 8).to_bytes()
    real, evil = b"torch.nn.modules.linear:Linear", b"evil_parts:Net"
    data = data.replace(real, evil.ljust(len(real)))  # the lengths of the header stay
    data = data.replace(evil.ljust(len(real)), b"evil_parts:Net.x" + b"y" * 14)
    path = tmp_path / "theirs.safetensors"
    path.write_bytes(sealed(data))  # as whoever means harm would
    for load in (Hasher.load, h2q.load):
        with pytest.raises(InvalidInputError, match=r"(?s)theirs.*backbone=.*trust.*H2Q_TRUSTED"):
            load(path)
    config = tmp_path / "config.yaml"
    for line in ("loss: evil_parts:Net", "backbone: evil_parts:Net"):
        config.write_text(line)
        with pytest.raises(InvalidInputError, match="a file alone makes h2q import nothing"):
            TrainConfig.from_yaml(config)
    assert not (tmp_path / "ran").exists()
    assert "evil_parts" not in sys.modules
    assert Hasher.load(path, backbone=nn.Linear).backbone.n_features == 4  # as the caller says
    monkeypatch.setenv("H2Q_TRUSTED", "a.b:C, evil_parts:Net")
    assert TrainConfig.from_yaml(config).backbone == "evil_parts:Net"


def test_code_that_is_handed_over_must_fit_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model"
    Hasher(own(Mlp, {"width": 5}, n_inputs=24), 8).save(path)
    with pytest.raises(FormatError, match="do not fit its header"):
        Hasher.load(path, backbone=lambda width: Mlp(width + 1))
    with pytest.raises(FormatError, match="cannot be made with the arguments"):
        Hasher.load(path, backbone=Tied)
    with pytest.raises(InvalidInputError, match="give the class"):
        Hasher.load(path, backbone=Mlp())  # type: ignore[arg-type]
    Hasher("digits-cnn", 8).save(path)
    with pytest.raises(InvalidInputError, match="leave backbone= out"):
        Hasher.load(path, backbone=Mlp)


@pytest.mark.parametrize("name", ["h2q", "sign", "h2q-sgd", "h2q-procrustes", "h2q-graduated"])
def test_every_quantizer_that_rotates_can_be_trained_with(
    name: str, make_features: Make, tmp_path: Path
) -> None:
    result = fit(make_features(), out=tmp_path, quantizer=name, **{**FAST, "epochs": 1})
    assert result.model.facts["quantizer"] == name
    assert torch.allclose(result.model.rotation @ result.model.rotation.T, torch.eye(8), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ipq", "did you mean 'itq'"),
        ("local-search", "has no rotation.*h2q, h2q-sgd"),
        ("tests.quantization.my_quantizer:MyQuantizer", "no model file holds"),
    ],
)
def test_quantizers_that_no_model_holds(name: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TrainConfig(quantizer=name)
