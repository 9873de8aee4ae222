"""The model, and its file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import h2q
from h2q import codes
from h2q.datasets import Dataset, Items
from h2q.datasets.sources import ImageArray
from h2q.errors import FormatError, InvalidInputError
from h2q.learning import Hasher, TrainConfig, backbones


@pytest.fixture
def hasher() -> Hasher:
    torch.manual_seed(0)
    return Hasher("digits-cnn", 12).eval()


@pytest.fixture
def fitted(hasher: Hasher, digits: Dataset) -> Hasher:
    rows = hasher.embed_items(digits.validation)
    hasher.set_quantizer(h2q.HouseholderQuantizer(random_state=0).fit(rows))
    return hasher


def test_shapes(hasher: Hasher) -> None:
    x = torch.randn(5, 1, 8, 8)
    assert hasher.embed(x).shape == (5, 12)
    assert torch.allclose(hasher(x).norm(dim=1), torch.tensor(12.0).sqrt())
    packed = hasher.encode(x)
    assert packed.dtype == torch.uint8
    assert packed.shape == (5, 2)
    assert hasher.quantizer is None
    assert np.array_equal(packed.numpy(), codes.pack(hasher.embed(x).detach().numpy()))


def test_the_module_agrees_with_its_quantizer(fitted: Hasher, digits: Dataset) -> None:
    z = fitted.embed_items(digits.query)
    rotated = fitted.rotate(torch.from_numpy(z)).detach().numpy()
    assert np.allclose(rotated, fitted.quantizer.rotate(z), atol=1e-5)
    far = np.abs(rotated).min(axis=1) > 1e-4  # rounding cannot change these signs
    assert far.mean() > 0.9
    packed = codes.pack(rotated)
    assert np.array_equal(packed[far], fitted.quantizer.transform(z)[far])


def test_zero_row_stays_finite(hasher: Hasher) -> None:
    assert torch.equal(hasher.rotate(torch.zeros(1, 12)), torch.zeros(1, 12))


def test_quantizers_that_do_not_fit(hasher: Hasher) -> None:
    with pytest.raises(InvalidInputError, match="fit it"):
        hasher.set_quantizer(object())
    rows = np.random.default_rng(0).standard_normal((50, 20))
    with pytest.raises(InvalidInputError, match="12 bits of 20 values, the model needs 12 of 12"):
        hasher.set_quantizer(h2q.HouseholderQuantizer(12, random_state=0).fit(rows))
    for n_bits in (0, -1, 2.5, True):
        with pytest.raises(InvalidInputError, match="n_bits"):
            Hasher("digits-cnn", n_bits)


def test_bulk_is_the_model_on_every_item(hasher: Hasher, digits: Dataset) -> None:
    items = digits.validation.take(np.arange(37))
    assert items.images is not None
    transform = hasher.preprocessing.transform()
    images = [items.images[i] for i in range(37)]
    x = torch.stack([transform(image) for image in images])
    expected = hasher.embed(x).detach().numpy()
    hasher.train()
    for size in (8, 64):
        assert np.allclose(hasher.embed_items(items, batch_size=size), expected, atol=1e-5)
    assert np.allclose(hasher.embed_items(items, num_workers=1), expected, atol=1e-5)
    images_alone = hasher.embed_images(iter(images), batch_size=8)
    assert np.allclose(images_alone, expected, atol=1e-5)
    assert hasher.training
    assert hasher.hash_layer.training
    half = hasher.embed_items(items, precision="bf16")
    assert half.dtype == np.float32
    cosine = (half * expected).sum(1) / np.linalg.norm(half, axis=1)
    assert (cosine / np.linalg.norm(expected, axis=1)).min() > 0.99


def test_the_precision_is_the_models_whoever_asks(fitted: Hasher, digits: Dataset) -> None:
    from h2q.ingest import PhotoEncoder

    items = digits.validation.take(np.arange(40))
    pictures = [items.images[i] for i in range(40)]
    halved = Hasher.from_bytes(fitted.to_bytes())
    assert halved.precision == "32"
    halved.precision = "bf16"
    halved = Hasher.from_bytes(halved.to_bytes())  # it travels with the model
    assert halved.precision == "bf16"
    for model, precision in ((fitted, "32"), (halved, "bf16")):
        encoder = PhotoEncoder(model, "cpu")
        rows = model.embed_items(items)
        assert np.array_equal(rows, fitted.embed_items(items, precision=precision))
        assert np.allclose(rows, model.embed_images(pictures), atol=1e-5)
        assert np.allclose(rows, encoder.embed([encoder.prepare(p) for p in pictures]), atol=1e-5)
    rows, other = fitted.embed_items(items), halved.embed_items(items)
    assert not np.array_equal(rows, other)
    flipped = np.mean(
        np.unpackbits(fitted.quantizer.transform(rows) ^ fitted.quantizer.transform(other), axis=1)[
            :, :12
        ]
    )
    assert fitted.flipped_bits(items, "bf16") == pytest.approx(flipped)
    assert fitted.flipped_bits(items, "32") == 0
    with pytest.raises(InvalidInputError, match="precision"):
        Hasher("digits-cnn", 8, precision="8")


def test_bulk_of_nothing(hasher: Hasher, digits: Dataset) -> None:
    assert hasher.embed_items(digits.query.take(np.arange(0))).shape == (0, 12)
    assert hasher.embed_images([]).shape == (0, 12)


def test_bulk_refuses(hasher: Hasher, digits: Dataset) -> None:
    rows = Items(labels=np.zeros(2, int), ids=["a", "b"], features=np.zeros((2, 4), np.float32))
    with pytest.raises(InvalidInputError, match="backbone='features'"):
        hasher.embed_items(rows)
    on_rows = Hasher(backbones.create("features", n_features=4), 8)
    assert on_rows.embed_items(rows).shape == (2, 8)
    with pytest.raises(InvalidInputError, match="choose a backbone"):
        on_rows.embed_items(digits.query)
    with pytest.raises(InvalidInputError, match="rows of features"):
        on_rows.embed_images([Image.new("L", (8, 8))])
    with pytest.raises(InvalidInputError, match="batch_size"):
        hasher.embed_items(digits.query, batch_size=0)
    with pytest.raises(InvalidInputError, match="precision"):
        hasher.embed_items(digits.query, precision="8")


def test_broken_image_names_itself(hasher: Hasher, tmp_path: Path) -> None:
    from h2q.datasets.sources import ImageFiles
    from h2q.errors import ImageError

    (tmp_path / "broken.jpg").write_text("no image")
    items = Items(labels=np.zeros(1, int), ids=["a"], images=ImageFiles([tmp_path / "broken.jpg"]))
    with pytest.raises(ImageError, match=r"broken\.jpg"):
        hasher.embed_items(items)


def test_file_round_trip(fitted: Hasher, digits: Dataset, tmp_path: Path) -> None:
    fitted.facts["loss"] = "cel"
    fitted.save(tmp_path / "model.safetensors")
    again = Hasher.load(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == [tmp_path / "model.safetensors"]
    assert not again.training
    assert again.facts == {"loss": "cel"}
    assert again.preprocessing == fitted.preprocessing
    before, after = fitted.embed_items(digits.query), again.embed_items(digits.query)
    assert np.array_equal(before, after)
    assert np.array_equal(fitted.quantizer.transform(before), again.quantizer.transform(after))
    assert again.quantizer.get_params() == fitted.quantizer.get_params()
    assert Hasher.from_bytes(fitted.to_bytes()).n_bits == 12
    assert isinstance(h2q.load(tmp_path / "model.safetensors"), Hasher)


def test_file_holds_what_it_says(fitted: Hasher, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model.safetensors")
    data = (tmp_path / "model.safetensors").read_bytes()
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    assert {k: metadata[k] for k in ("format", "format_version", "kind")} == {
        "format": "h2q",
        "format_version": "1",
        "kind": "hasher",
    }
    assert json.loads(metadata["hasher"])["backbone"]["architecture"] == "digits-cnn"


def test_model_without_quantizer_round_trip(hasher: Hasher, tmp_path: Path) -> None:
    hasher.save(tmp_path / "m.safetensors")
    assert Hasher.load(tmp_path / "m.safetensors").quantizer is None


def test_timm_model_is_rebuilt_without_its_folder(tmp_path: Path) -> None:
    torch.manual_seed(1)
    backbone = backbones.create("mobilenetv3_small_050", pretrained=False, image_size=32)
    model = Hasher(backbone, 16).eval()
    again = Hasher.from_bytes(model.to_bytes())
    x = torch.randn(2, 3, 32, 32)
    assert again.preprocessing is not None
    assert again.preprocessing.size == (3, 32, 32)
    assert torch.equal(model(x), again(x))


@pytest.mark.parametrize("kept", [0, 5, 100, 0.5, 0.999])
def test_truncated_file(fitted: Hasher, tmp_path: Path, kept: float) -> None:
    data = fitted.to_bytes()
    n = int(kept * len(data)) if isinstance(kept, float) else kept
    (tmp_path / "m.safetensors").write_bytes(data[:n])
    with pytest.raises(FormatError, match="truncated"):
        Hasher.load(tmp_path / "m.safetensors")


def test_a_flipped_bit_of_a_model_is_seen(fitted: Hasher, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model.safetensors")
    data = bytearray((tmp_path / "model.safetensors").read_bytes())
    data[-5] ^= 4
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(FormatError, match="damaged: its checksum differs"):
        h2q.load(tmp_path / "model.safetensors")


def test_absurd_lengths_are_refused_before_memory_is_taken() -> None:
    with pytest.raises(InvalidInputError, match="at most 16,384, got 1,000,000,000"):
        Hasher("digits-cnn", 10**9)
    with pytest.raises(InvalidInputError, match="16384"):
        TrainConfig(n_bits=10**9)


def test_foreign_and_newer_files(fitted: Hasher, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(FormatError, match="of another program"):
        Hasher.load(path)
    fitted.quantizer.save(path)
    with pytest.raises(FormatError, match="it is a 'quantizer'"):
        Hasher.load(path)
    path.write_text("hello, this is no model" * 10)
    with pytest.raises(FormatError, match="not a model of h2q"):
        Hasher.load(path)
    with pytest.raises(InvalidInputError, match=r"none\.safetensors"):
        Hasher.load(tmp_path / "none.safetensors")
    fitted.save(path)
    tensors = load_file(path)
    metadata = {"format": "h2q", "kind": "hasher", "hasher": "{}", "format_version": "99"}
    save_file(tensors, path, metadata)
    with pytest.raises(FormatError, match="update h2q"):
        Hasher.load(path)
    save_file(tensors, path, {**metadata, "format_version": "1"})
    with pytest.raises(FormatError, match="its header has no backbone"):
        Hasher.load(path)


def test_file_of_other_weights(fitted: Hasher, tmp_path: Path) -> None:
    data = fitted.to_bytes()
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    tensors = load_file(path)
    del header["sha256"]
    tensors["hash_layer.weight"] = torch.zeros(3, 3)
    save_file(tensors, path, header)
    with pytest.raises(FormatError, match="do not fit"):
        Hasher.load(path)


def test_read_only_folder(hasher: Hasher, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot write the model"):
        hasher.save(tmp_path / "absent" / "m.safetensors")


def test_images_of_any_size(hasher: Hasher) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    items = Items(labels=np.zeros(3, int), ids=list("abc"), images=ImageArray(pixels))
    assert hasher.embed_items(items).shape == (3, 12)


def test_importing_the_package_imports_no_torch() -> None:
    program = "import sys, h2q, h2q.learning; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_missing_torch_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    program = (
        "import h2q.learning\n"
        "from h2q.errors import MissingExtraError\n"
        "try:\n    h2q.learning.Hasher\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert "pip install 'h2q[train]'" in done.stdout


def test_a_compiled_model_is_saved_as_the_model_it_is(tmp_path: Path) -> None:
    hasher = Hasher("digits-cnn", n_bits=16).eval()
    hasher.save(tmp_path / "plain")
    hasher.backbone.network = torch.compile(hasher.backbone.network)  # type: ignore[assignment]
    hasher.save(tmp_path / "compiled")
    images = torch.rand(3, 1, 8, 8)
    a, b = (Hasher.load(tmp_path / name) for name in ("plain", "compiled"))
    assert torch.equal(a.encode(images), b.encode(images))


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    hasher = Hasher("digits-cnn", n_bits=16)
    hasher.hash_layer = torch.nn.Sequential(  # type: ignore[assignment]
        torch.nn.Linear(128, 64), torch.nn.ReLU(), torch.nn.Linear(64, 16)
    )
    with pytest.raises(InvalidInputError, match=r"cannot be saved.*hash_layer"):
        hasher.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
