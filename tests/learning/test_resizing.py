"""Resizing on the device gives Pillow's bytes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from h2q.datasets import Items
from h2q.datasets.sources import ImageArray
from h2q.learning import bulk
from h2q.learning.backbones import Preprocessing
from h2q.learning.backbones.resizing import BatchCut

DEVICES = [torch.device("cpu")] + [torch.device("cuda")] * torch.cuda.is_available()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("shape", "size", "crop"),
    [
        ((32, 32, 3), (3, 160, 160), 0.875),
        ((32, 32, 3), (3, 224, 224), 1.0),
        ((70, 50, 3), (3, 24, 24), 0.8),
        ((40, 91, 3), (3, 64, 48), 0.9),
        ((28, 28), (1, 32, 32), 0.9),
        ((8, 8), (1, 8, 8), 1.0),
        ((64, 64, 3), (3, 33, 33), 0.7),
    ],
)
def test_every_byte_is_pillows(
    shape: tuple[int, ...], size: tuple[int, int, int], crop: float, interpolation: str,
    device: torch.device,
) -> None:  # fmt: skip
    pixels = np.random.default_rng(0).integers(0, 256, (9, *shape), dtype=np.uint8)
    pixels[1], pixels[2] = 0, 255
    cut = Preprocessing(
        size=size, mean=(0.5,) * size[0], std=(0.5,) * size[0], crop_pct=crop,
        interpolation=interpolation,
    ).pixels()  # fmt: skip
    wanted = np.stack([cut(Image.fromarray(each)) for each in pixels])
    one = BatchCut.made(cut, pixels, device)
    if one is None:
        # Compilers may fuse the arithmetic of a weight, so its last bit depends on how Pillow was
        # built: then it is left to Pillow, which is seen on the first and the last image.
        assert shape[0] != shape[1], "the sizes of the benchmarks are known to agree"
        return
    assert np.array_equal(one(slice(None)).cpu().numpy(), wanted)


def test_what_it_cannot_do_is_left_to_pillow() -> None:
    device = torch.device("cpu")
    grey = np.zeros((2, 20, 20), dtype=np.uint8)
    wide = np.zeros((2, 20, 300, 3), dtype=np.uint8)
    colour = Preprocessing(size=(3, 16, 16)).pixels()
    assert BatchCut.made(colour, grey, device) is None
    assert BatchCut.made(colour, wide, device) is None
    lanczos = Preprocessing(size=(3, 16, 16), interpolation="lanczos").pixels()
    assert BatchCut.made(lanczos, np.zeros((2, 20, 20, 3), dtype=np.uint8), device) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_batches_are_those_of_the_cpu() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (700, 32, 32, 3), dtype=np.uint8)
    items = Items(
        labels=np.zeros(700, int), ids=list(map(str, range(700))), images=ImageArray(pixels)
    )
    seen = Preprocessing(size=(3, 48, 48))
    here = torch.cat(list(bulk.batches_of(items, seen, device=torch.device("cuda"))))
    there = torch.cat(list(bulk.batches_of(items, seen, num_workers=0)))
    assert here.is_cuda
    assert torch.equal(here.cpu(), there)
