"""A folder of photos and copies of them as people make copies; which copy is of which is known."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from h2q.images import read_image, scan_folder

Make = Callable[[Image.Image, Path, np.random.Generator], None]


def _reencoded(photo: Image.Image, path: Path, rng: np.random.Generator) -> None:
    photo.save(path, quality=int(rng.integers(30, 91)))


def _other_format(photo: Image.Image, path: Path, rng: np.random.Generator) -> None:
    photo.save(path.with_suffix(".webp"), quality=int(rng.integers(50, 91)))


def _resized(photo: Image.Image, path: Path, rng: np.random.Generator) -> None:
    share = float(rng.uniform(0.3, 1.5))
    method = (Image.Resampling.LANCZOS, Image.Resampling.BICUBIC, Image.Resampling.BILINEAR)
    size = (max(1, round(photo.width * share)), max(1, round(photo.height * share)))
    photo.resize(size, method[rng.integers(3)]).save(path, quality=int(rng.integers(60, 91)))


def _half(photo: Image.Image, path: Path, rng: np.random.Generator) -> None:
    size = (photo.width // 2, photo.height // 2)
    photo.resize(size, Image.Resampling.LANCZOS).save(path, quality=85)


def _cropped(photo: Image.Image, path: Path, rng: np.random.Generator) -> None:
    shares = rng.uniform(0.7, 0.97, 2)  # of each side
    width, height = (np.array(photo.size) * shares).astype(int).tolist()
    left = int(rng.integers(0, photo.width - width + 1))
    top = int(rng.integers(0, photo.height - height + 1))
    photo.crop((left, top, left + width, top + height)).save(path, quality=85)


def _exif(photo: Image.Image, path: Path, rng: np.random.Generator) -> None:
    """Turn the pixels and say so in the EXIF data, as a camera does: upright it is the same."""
    orientation = int(rng.choice([3, 6, 8]))
    undo = {
        3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo.transpose(undo[orientation]).save(path, quality=85, exif=exif)


def _mirrored(photo: Image.Image, path: Path, rng: np.random.Generator) -> None:
    ImageOps.mirror(photo).save(path, quality=85)


def _turned(photo: Image.Image, path: Path, rng: np.random.Generator) -> None:
    turns = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
    photo.transpose(turns[rng.integers(3)]).save(path, quality=85)


#: Kind of change -> how many copies, and how one is made. The first four are 300 copies.
KINDS: dict[str, tuple[int, Make | None]] = {
    "re-encoded": (75, _reencoded),
    "resized": (75, _resized),
    "cropped": (75, _cropped),
    "turned by EXIF": (75, _exif),
    "half size": (40, _half),
    "mirrored": (40, _mirrored),
    "turned": (40, _turned),
    "WebP": (40, _other_format),
    "byte for byte": (20, None),
}


def write_copies(photos: Path, target: Path, random_state: int) -> dict[str, tuple[str, str]]:
    """Copy a folder of photos to `target` and add changed copies below `target/copies`.

    Returns
    -------
    dict
        Id of each copy -> (kind of change, id of its original).
    """
    rng = np.random.default_rng(random_state)
    shutil.copytree(photos, target)
    originals = scan_folder(target)
    (target / "copies").mkdir()
    drawn = iter(rng.permutation(len(originals)))
    truth: dict[str, tuple[str, str]] = {}
    for kind, (count, make) in KINDS.items():
        for number in range(count):
            original = originals[int(next(drawn))]
            path = target / "copies" / f"{kind.replace(' ', '-')}-{number:03d}.jpg"
            if make is None:
                shutil.copyfile(original, path)
            else:
                make(read_image(original), path, rng)
                path = next(path.parent.glob(path.stem + ".*"))
            truth[str(path.relative_to(target))] = (kind, str(original.relative_to(target)))
    return truth
