"""Real photos, and copies of them as people make copies."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from sklearn.datasets import load_sample_images

from h2q import open_collection
from h2q._typing import CodeArray
from h2q.codes import pack
from h2q.images import read_image, scan_folder
from h2q.ingest.photo_files import content_hash

_SIDE = 200
#: Kind of copy -> the level and the change that are the right answer.
KINDS: Final = {
    "bytes": ("same", "byte for byte"),
    "jpeg60": ("same", "re-encoded"),
    "webp": ("same", "re-encoded"),
    "small": ("same", "resized"),
    "exif": ("same", "re-encoded"),
    "mirror": ("close", "mirrored"),
    "turn": ("close", "turned"),
    "crop": ("close", "cropped"),
    "stamp": ("close", "nearly the same"),
}


class PixelEncoder:
    """Codes by the grey pixels at 8 x 8, about their mean; enough to find crops by."""

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        small = image.convert("L").resize((8, 8), Image.Resampling.BOX)
        return np.asarray(small, dtype=np.float32).ravel()

    def embed(self, prepared: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.stack(prepared)

    def code(self, rows: NDArray[np.float32]) -> CodeArray:
        codes: CodeArray = pack(rows - rows.mean(axis=1, keepdims=True))
        return codes


def photographs() -> list[Image.Image]:
    """Twelve pictures cut out of scikit-learn's two photos; no two overlap."""
    return [
        Image.fromarray(photo).crop((x, y, x + _SIDE, y + _SIDE - 20))
        for photo in load_sample_images().images
        for y in (0, _SIDE)
        for x in (0, _SIDE, 2 * _SIDE)
    ]


def write_copy(photo: Image.Image, original: Path, path: Path, kind: str) -> Path:
    """Write a copy of a photo that was changed in one of the ways of `KINDS`."""
    path = path.with_suffix({"webp": ".webp", "bytes": original.suffix}.get(kind, ".jpg"))
    if kind == "bytes":
        shutil.copyfile(original, path)
        return path
    exif = Image.Exif()
    if kind == "exif":
        exif[0x0112] = 6
        photo = photo.transpose(Image.Transpose.ROTATE_90)
    elif kind == "small":
        photo = photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.LANCZOS)
    elif kind == "mirror":
        photo = ImageOps.mirror(photo)
    elif kind == "turn":
        photo = photo.transpose(Image.Transpose.ROTATE_90)
    elif kind == "crop":
        photo = photo.crop((9, 6, photo.width - 5, photo.height - 7))
    elif kind == "stamp":
        photo = photo.copy()
        ImageDraw.Draw(photo).text((110, 160), "2019 05 12", fill=(255, 160, 0))
    photo.save(path, quality=60 if kind == "jpeg60" else 85, exif=exif)
    return path


def write_originals_and_copies(folder: Path) -> dict[str, tuple[str, str]]:
    """Write the photographs, and of the first nine a copy each, each changed in another way.

    Returns
    -------
    dict
        Id of the copy -> (kind, id of its original).
    """
    (folder / "copies").mkdir(parents=True)
    photos = photographs()
    for number, photo in enumerate(photos):
        photo.save(folder / f"photo{number:02d}.png")
    truth = {}
    for number, kind in enumerate(KINDS):
        original = folder / f"photo{number:02d}.png"
        copy = write_copy(photos[number], original, folder / "copies" / kind, kind)
        truth[f"copies/{copy.name}"] = (kind, original.name)
    return truth


def index(folder: Path, uri: str) -> None:
    """Store the photos of a folder as `h2q index` does, coded by `PixelEncoder`."""
    encoder = PixelEncoder()
    with open_collection(uri, n_bits=64) as collection:
        collection.delete(list(collection))
        for path in scan_folder(folder):
            status, name = path.stat(), path.relative_to(folder).as_posix()
            payload = {
                "folder": str(folder),
                "path": name,
                "size": status.st_size,
                "mtime_ns": status.st_mtime_ns,
                "sha256": content_hash(path),
            }
            code = encoder.code(encoder.embed([encoder.prepare(read_image(path))]))
            collection.add([name], code, [payload])
