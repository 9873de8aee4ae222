"""Backbones by name."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from h2q.errors import FormatError, InvalidInputError
from h2q.learning import backbones
from h2q.learning.backbones import BackboneSpec, Preprocessing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A timm folder with its own mean and input size."""
    path = tmp_path_factory.mktemp("model")
    torch.manual_seed(3)
    model = timm.create_model("mobilenetv3_small_050", num_classes=7)
    save_file(model.state_dict(), path / "model.safetensors")
    config = {
        "architecture": "mobilenetv3_small_050",
        "num_classes": 7,
        "pretrained_cfg": {
            "input_size": [3, 64, 64],
            "mean": [0.1, 0.2, 0.3],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bilinear",
            "crop_pct": 0.8,
        },
    }
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.fixture
def image() -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("name", "features", "size"),
    [
        ("digits-cnn", 128, (1, 8, 8)),
        ("alexnet", 4096, (3, 224, 224)),
        ("resnet18", 512, (3, 224, 224)),
        ("mobilenetv3_small_050", 1024, (3, 224, 224)),
        ("timm:mobilenetv3_small_050", 1024, (3, 224, 224)),
    ],
)
def test_name_to_features(name: str, features: int, size: tuple[int, int, int]) -> None:
    backbone = backbones.create(name, pretrained=False).eval()
    assert backbone.preprocessing is not None
    assert backbone.preprocessing.size == size
    assert backbone.n_features == features
    with torch.inference_mode():
        assert backbone(torch.zeros(2, *size)).shape == (2, features)


def test_vgg16_ends_before_the_classifiers_last_layer() -> None:
    with torch.device("meta"):  # half a gigabyte of weights are not needed to see the shape
        backbone = backbones.create("vgg16", pretrained=False)
    assert backbone.n_features == 4096
    assert backbone.network.classifier[-1].__class__.__name__ == "Dropout"


def test_transformer_takes_its_size_when_built() -> None:
    backbone = backbones.create("vit_tiny_patch16_224", pretrained=False, image_size=32).eval()
    with torch.inference_mode():
        assert backbone(torch.zeros(1, 3, 32, 32)).shape == (1, 192)
    again = backbones.rebuild(backbone.spec, backbone.preprocessing)
    again.load_state_dict(backbone.state_dict())


def test_features_pass_through() -> None:
    backbone = backbones.create("features", n_features=5)
    rows = torch.randn(3, 5)
    assert not backbone.takes_images
    assert torch.equal(backbone(rows), rows)
    with pytest.raises(InvalidInputError, match="n_features"):
        backbones.create("features")
    with pytest.raises(InvalidInputError, match="takes no images"):
        backbones.create("features", n_features=5, image_size=32)


def test_local_folder_has_its_weights_and_preprocessing(folder: Path) -> None:
    backbone = backbones.create(f"local-dir:{folder}")
    stored = load_file(folder / "model.safetensors")
    for name, tensor in backbone.network.state_dict().items():
        assert torch.equal(tensor, stored[name]), name
    assert backbone.preprocessing == Preprocessing(
        size=(3, 64, 64),
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.5, 0.5),
        interpolation="bilinear",
        crop_pct=0.8,
    )
    assert str(folder) not in backbone.spec.architecture


def test_local_folder_that_is_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"config\.json"):
        backbones.create(f"local-dir:{tmp_path}")
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(InvalidInputError, match=r"model\.safetensors"):
        backbones.create(f"local-dir:{tmp_path}")
    data = (folder / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(InvalidInputError, match="cannot read these weights"):
        backbones.create(f"local-dir:{tmp_path}")
    (tmp_path / "config.json").write_text('{"architecture": "no_such_net"}')
    with pytest.raises(InvalidInputError, match="no_such_net"):
        backbones.create(f"local-dir:{tmp_path}")


@pytest.mark.shared
def test_shared_model(shared: Path) -> None:
    backbone = backbones.create(f"local-dir:{shared / 'models' / 'mobilenetv2'}").eval()
    assert backbone.preprocessing is not None
    assert backbone.preprocessing.mean == (0.5, 0.5, 0.5)
    assert backbone.spec.arguments == {"pad_type": "same"}
    timms = timm.create_model(
        f"local-dir:{shared / 'models' / 'mobilenetv2'}", pretrained=True, num_classes=0
    ).eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(backbone(x), timms(x), atol=1e-5)


def test_weights_from_a_file(folder: Path, tmp_path: Path) -> None:
    file = folder / "model.safetensors"
    backbone = backbones.create("mobilenetv3_small_050", weights=file)
    stored = load_file(file)
    first = next(iter(backbone.network.state_dict()))
    assert torch.equal(backbone.network.state_dict()[first], stored[first])
    torch.save({"state_dict": stored}, tmp_path / "weights.pth")
    again = backbones.create("mobilenetv3_small_050", weights=tmp_path / "weights.pth")
    assert torch.equal(again.network.state_dict()[first], stored[first])
    with pytest.raises(InvalidInputError, match="same architecture"):
        backbones.create("resnet18", weights=file)


def test_pickled_code_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(InvalidInputError, match="not a plain state dict"):
        backbones.create("resnet18", weights=tmp_path / "model.pth")


@pytest.mark.parametrize("name", ["alexnet", "resnet18"])
def test_no_download_says_how_to_give_a_file(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Nothing listens on port 9 of this machine, so the download fails at once.
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InvalidInputError, match=r"weights=.*local-dir:PATH.*pretrained=False"):
        backbones.create(name)


def test_unknown_name() -> None:
    with pytest.raises(InvalidInputError, match=r"unknown backbone 'resnet_fifty'.*digits-cnn"):
        backbones.create("resnet_fifty")
    with pytest.raises(FormatError, match="install the"):
        backbones.rebuild(BackboneSpec("x", "other", "x"), None)


def test_transform_is_timms_own(image: Image.Image) -> None:
    seen = Preprocessing(size=(3, 40, 40), crop_pct=0.8)
    theirs = timm.data.create_transform((3, 40, 40), crop_pct=0.8, interpolation="bicubic")
    assert torch.equal(seen.transform()(image), theirs(image))
    assert Preprocessing.from_dict(json.loads(json.dumps(seen.to_dict()))) == seen


@pytest.mark.parametrize("augment", ["none", "flip", "crop-flip"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK", "1"])
def test_any_mode_becomes_the_input(image: Image.Image, mode: str, augment: str) -> None:
    for channels in (1, 3):
        one = (0.5,) * channels
        seen = Preprocessing(size=(channels, 24, 24), mean=one, std=one)
        chance = np.random.default_rng(0)
        pixels = seen.pixels(augment)(image.convert(mode), chance, augment != "none")
        assert pixels.shape == (24, 24, channels)
        assert pixels.dtype == np.uint8
        x = seen.scale(torch.from_numpy(pixels)[None])
        assert x.shape == (1, channels, 24, 24)
        assert x.dtype == torch.float32


def test_augmentation_is_random_and_seeded(image: Image.Image) -> None:
    cut = Preprocessing(size=(3, 24, 24)).pixels("crop-flip")
    chance = np.random.default_rng(0)
    first, second = cut(image, chance), cut(image, chance)
    assert np.array_equal(cut(image, np.random.default_rng(0)), first)
    assert not np.array_equal(first, second)
    assert np.array_equal(cut(image, np.random.default_rng(0), flip=True), first[:, ::-1])
    with pytest.raises(InvalidInputError, match="crop-flip"):
        Preprocessing().pixels("rotate")


def test_random_crops_have_the_areas_and_ratios_of_the_paper() -> None:
    """Where each pixel says its place, a crop says where it was cut."""
    side = 240
    place = np.arange(side, dtype=np.uint8)
    image = Image.fromarray(
        np.stack([*np.meshgrid(place, place), np.zeros((side, side))], 2).astype(np.uint8)
    )
    cut = Preprocessing(size=(3, 64, 64), interpolation="bilinear").pixels("crop-flip")
    chance = np.random.default_rng(0)
    areas, ratios = [], []
    for _ in range(400):
        x = cut(image, chance).astype(float)
        width, height = (np.ptp(x[..., axis]) * 65 / 64 for axis in (0, 1))
        areas.append(width * height / side**2)
        ratios.append(width / height)
    assert 0.05 < min(areas) < 0.15
    assert max(areas) > 0.85
    assert 0.7 < min(ratios) < 0.8
    assert 1.25 < max(ratios) < 1.45
    # Cuts that do not fit are drawn again, so the mean lies below that of 8 to 100 %.
    assert 0.44 < np.mean(areas) < 0.54


@pytest.mark.parametrize("augment", ["none", "crop-flip"])
def test_the_cut_can_be_sent_to_loader_processes(augment):
    """They are spawned or forked from a server on newer Pythons, so it is pickled."""
    cut = backbones.create("digits-cnn").preprocessing.pixels(augment)
    sent = pickle.loads(pickle.dumps(cut))
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    assert np.array_equal(
        sent(image, np.random.default_rng(0)), cut(image, np.random.default_rng(0))
    )
