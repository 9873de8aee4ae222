"""A model file and folders of small photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from h2q.ingest import PhotoEncoder, load_hasher
from h2q.learning import Hasher
from h2q.quantization import RandomRotationQuantizer
from tests.ingest.folders.photo_files import save_photo


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model of 16 bits with random weights: indexing does not ask what was learned."""
    import torch

    torch.manual_seed(0)
    hasher = Hasher("digits-cnn", n_bits=16)
    rows = np.random.default_rng(0).standard_normal((100, 16))
    hasher.set_quantizer(RandomRotationQuantizer(random_state=0).fit(rows))
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    hasher.save(path)
    return path


@pytest.fixture(scope="session")
def encoder(model: Path) -> PhotoEncoder:
    return PhotoEncoder(load_hasher(model), "cpu")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Folder of 12 photos: cats, dogs/puppies, and two at the top."""
    folder = tmp_path / "photos"
    for i in range(6):
        save_photo(folder / "cats" / f"{i}.png", i)
    for i in range(4):
        save_photo(folder / "dogs" / "puppies" / f"{i}.jpg", 10 + i)
    for i in range(2):
        save_photo(folder / f"top{i}.png", 20 + i)
    return folder
