"""Real photos, and copies of them as people make copies: resized, recompressed, brightened."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageEnhance
from sklearn.datasets import load_sample_images

_SIDE = 200


def write_originals_and_copies(folder: Path) -> dict[str, list[str]]:
    """Write crops of scikit-learn's two photos and three copies of each second one.

    Returns the names of the copies by that of their original; those without copies have none.
    """
    copies: dict[str, list[str]] = {}
    (folder / "copies").mkdir(parents=True)
    crops = [
        Image.fromarray(photo).crop((x, y, x + _SIDE, y + _SIDE))
        for photo in load_sample_images().images
        for y in (0, _SIDE)
        for x in (0, _SIDE, 2 * _SIDE)
    ]
    for number, crop in enumerate(crops):
        name = f"crop{number:02d}"
        crop.save(folder / f"{name}.png")
        copies[f"{name}.png"] = []
        if number % 2:
            continue
        changed = {
            "small": crop.resize((90, 90), Image.Resampling.LANCZOS),
            "jpeg": crop,
            "bright": ImageEnhance.Brightness(crop).enhance(1.04),
        }
        for how, picture in changed.items():
            copy = f"copies/{name}_{how}.jpg"
            picture.save(folder / copy, quality=60)
            copies[f"{name}.png"].append(copy)
    return copies
