"""A collection of photos in which some are copies of others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from h2q import open_collection
from h2q.images import read_image, scan_folder
from h2q.ingest import PhotoEncoder, index_folder
from h2q.learning import Hasher
from h2q.quantization import RandomRotationQuantizer
from tests.cli.conftest import h2q
from tests.duplicates.photo_copies import write_originals_and_copies

__all__ = ["h2q", "photos"]


@dataclass(frozen=True)
class Photos:
    """The collection, the folder, and the ids of each group of more than one."""

    uri: str
    folder: Path
    groups: list[set[str]]


@pytest.fixture
def photos(tmp_path: Path) -> Photos:
    """64-bit codes of a small network with random weights, centred on these photos."""
    import torch

    folder = tmp_path / "photos"
    copies = write_originals_and_copies(folder)
    torch.manual_seed(0)
    hasher = Hasher("digits-cnn", n_bits=64)
    rows = np.random.default_rng(0).standard_normal((200, 64))
    hasher.set_quantizer(RandomRotationQuantizer(random_state=0).fit(rows))
    encoder = PhotoEncoder(hasher, "cpu")
    batch = [encoder.prepare(read_image(path)) for path in scan_folder(folder)]
    with torch.no_grad():
        hasher.hash_layer.bias -= torch.as_tensor(np.asarray(encoder.embed(batch)).mean(axis=0))
    uri = str(tmp_path / "photos.h2q")
    with open_collection(uri, n_bits=64, model=hasher.to_bytes()) as collection:
        index_folder(folder, collection, encoder)
    return Photos(uri, folder, [{name, *found} for name, found in copies.items() if found])
