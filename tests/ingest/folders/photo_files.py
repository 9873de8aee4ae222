"""Pictures to index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def save_photo(path: Path, seed: int) -> Path:
    """Write a small picture that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path
