from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q.encoders import KeptEncoder, TextEncoder, load_encoder, load_kept
from h2q.encoders.preparing import Preparing
from h2q.errors import CompatibilityError, FormatError, InvalidInputError

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from tests.encoders.tiny_onnx import WORDS, pair, photo_network

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def embed(encoder: object, image: Image.Image) -> np.ndarray:
    return encoder.embed([encoder.prepare(image)])[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_a_network_of_ones_own(tmp_path: Path, batch: int | str) -> None:
    path = photo_network(tmp_path / "mine.onnx", batch=batch)
    encoder = load_encoder(f"onnx:{path}")
    assert encoder.dimension == 8
    weight = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    images = [Image.new("RGB", (9, 20), colour) for colour in COLOURS.values()]
    rows = encoder.embed([encoder.prepare(image) for image in images])
    np.testing.assert_allclose(rows, (2 * np.eye(3) - 1) @ weight, atol=1e-5)


def test_what_a_collection_keeps_finds_it_again(tmp_path: Path) -> None:
    path = photo_network(tmp_path / "mine.onnx")
    data = load_encoder(f"onnx:{path}").kept.to_bytes(16)
    assert KeptEncoder.from_bytes(data).name == f"onnx:{path}"
    assert load_kept(data).kept.to_bytes(16) == data
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for each in (path, path.with_suffix(".json")):
        each.rename(moved / each.name)
    with pytest.raises(InvalidInputError, match="there is no encoder"):
        load_kept(data)
    assert load_kept(data, name=f"onnx:{moved / path.name}").dimension == 8
    settings = json.loads((moved / "mine.json").read_text())
    (moved / "mine.json").write_text(json.dumps({**settings, "mean": [0.4]}))
    with pytest.raises(CompatibilityError, match="its rows cannot be compared"):
        load_kept(data, name=f"onnx:{moved / path.name}")


def test_a_pair_understands_words(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    encoder = load_encoder(f"onnx:{pair(tmp_path / 'pair').parent}")
    assert isinstance(encoder, TextEncoder)
    words = encoder.embed_texts(list(WORDS))
    for word, row in zip(WORDS, words, strict=True):
        photo = embed(encoder, Image.new("RGB", (8, 8), COLOURS[word]))
        np.testing.assert_allclose(row, photo, atol=1e-5)
    # Texts of several lengths are padded, and what is padded does not count.
    np.testing.assert_allclose(
        encoder.embed_texts(["red green", "blue"])[1], words[WORDS["blue"]], atol=1e-5
    )


def test_words_need_a_pair(tmp_path: Path) -> None:
    encoder = load_encoder(f"onnx:{photo_network(tmp_path / 'mine.onnx')}")
    with pytest.raises(InvalidInputError, match=r"understands photos alone.*text_model"):
        encoder.embed_texts(["red"])  # type: ignore[attr-defined]


def test_what_cannot_be_used_says_why(tmp_path: Path) -> None:
    path = photo_network(tmp_path / "mine.onnx")
    path.with_suffix(".json").write_text('{"sizes": [8, 8]}')
    with pytest.raises(FormatError, match=r"mine\.json: .*sizes.*may hold size, resize"):
        load_encoder(f"onnx:{path}")
    path.with_suffix(".json").unlink()
    with pytest.raises(InvalidInputError, match=r"put mine\.json beside it, such as"):
        load_encoder(f"onnx:{path}")
    path.with_suffix(".json").write_text("{}")
    with pytest.raises(FormatError, match="cannot take its input"):  # 224 where it takes 8
        load_encoder(f"onnx:{path}")
    path.write_bytes(b"no graph")
    with pytest.raises(FormatError, match="not an ONNX graph"):
        load_encoder(f"onnx:{path}")
    with pytest.raises(InvalidInputError, match=r"unknown encoder 'resnet50'.*timm:NAME"):
        load_encoder("resnet50")


def test_settings_of_hugging_face(tmp_path: Path) -> None:
    path = photo_network(tmp_path / "vision_model.onnx")
    path.with_suffix(".json").unlink()
    settings = {
        "crop_size": {"height": 8, "width": 8},
        "do_center_crop": True,
        "do_normalize": True,
        "do_resize": True,
        "image_mean": [0.48, 0.45, 0.40],
        "image_std": [0.26, 0.26, 0.27],
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": 8},
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    preparing = Preparing.from_file(tmp_path / "preprocessor_config.json")
    assert preparing == Preparing(
        size=(8, 8), resize=8, interpolation="bicubic", mean=(0.48, 0.45, 0.40),
        std=(0.26, 0.26, 0.27),
    )  # fmt: skip
    assert load_encoder(f"onnx:{tmp_path}").dimension == 8
    squash = {"do_resize": True, "size": {"height": 8, "width": 6}, "image_mean": [0.5] * 3,
              "image_std": [0.5] * 3, "resample": 2}  # fmt: skip
    assert Preparing.from_dict(squash) == Preparing(
        size=(8, 6), resize=None, interpolation="bilinear", mean=(0.5,) * 3, std=(0.5,) * 3
    )


def test_extreme_proportions_cost_nothing() -> None:
    line = Image.new("RGB", (1, 400_000), "red")
    assert Preparing()(line).shape == (3, 224, 224)
    assert Preparing(resize=None, layout="NHWC", dtype="uint8")(line)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    "change",
    [
        {"size": (0, 8)},
        {"interpolation": "best"},
        {"layout": "CHW"},
        {"std": (0.0, 1.0, 1.0)},
        {"mean": (0.1, 0.2)},
        {"dtype": "int8"},
    ],
)
def test_settings_that_cannot_be_used(change: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(change))):
        Preparing(**change)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_network_of_timm(shared: Path) -> None:
    pytest.importorskip("timm")
    encoder = load_encoder(f"timm:local-dir:{shared / 'models' / 'mobilenetv2'}", device="cpu")
    row = embed(encoder, Image.new("RGB", (40, 30), "red"))
    assert row.shape == (encoder.dimension,)
    assert load_kept(encoder.kept.to_bytes(64), device="cpu").kept == encoder.kept


def test_preprocessing_that_is_hostile(tmp_path: Path) -> None:
    deep = tmp_path / "deep.json"
    deep.write_text("[" * 100_000)
    with pytest.raises(FormatError, match=r"deep\.json: no preprocessing"):
        Preparing.from_file(deep)
    endless = tmp_path / "endless.json"
    endless.write_text('{"do_resize": true, "size": {"shortest_edge": Infinity}}')
    with pytest.raises(FormatError, match=r"endless\.json"):
        Preparing.from_file(endless)
