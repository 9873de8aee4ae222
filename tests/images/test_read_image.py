from __future__ import annotations

import io
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q.errors import ImageError
from h2q.images import image_formats, image_suffixes, read_image


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".ppm", ".webp", ".jpg", ".gif"])
def test_reads_common_formats(tmp_path: Path, photo: Image.Image, suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    photo.save(path)
    image = read_image(path)
    assert image.mode == "RGB"
    assert image.size == (40, 30)
    red, green, blue = np.asarray(image)[15, 5].astype(int)
    assert red > 230
    assert green < 30
    assert blue < 30
    assert suffix in image_suffixes()


def test_applies_exif_orientation(tmp_path: Path, photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate 90 degrees clockwise to show
    path = tmp_path / "turned.png"
    photo.save(path, exif=exif)
    image = read_image(path)
    assert image.size == (30, 40)
    pixels = np.asarray(image)
    assert pixels[2, 15, 0] == 255  # left became top
    assert pixels[-3, 15, 2] == 255


def test_reads_bytes_and_streams(photo: Image.Image) -> None:
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    assert read_image(buffer.getvalue()).size == (40, 30)
    assert read_image(io.BytesIO(buffer.getvalue())).size == (40, 30)
    with pytest.raises(ImageError, match=r"upload\.png"):
        read_image(b"nothing", name="upload.png")


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    path = tmp_path / "clear.png"
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(path)
    assert np.asarray(read_image(path)).min() == 255


def test_palette_transparency_is_white(tmp_path: Path) -> None:
    path = tmp_path / "clear.gif"
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.save(path, transparency=1)
    assert np.asarray(read_image(path)).min() == 255


def test_16_bit_greyscale_keeps_its_shades(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    shades = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(shades).save(path)
    pixels = np.asarray(read_image(path))[..., 0].astype(int)
    assert abs(pixels - shades.astype(int) // 257).max() <= 1


def test_cmyk_jpeg(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "print.jpg"
    photo.convert("CMYK").save(path)
    assert read_image(path).mode == "RGB"


def test_text_named_jpg(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("shopping list")
    with pytest.raises(ImageError, match=r"notes\.jpg: is not an image"):
        read_image(path)


def test_truncated_jpeg(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole)
    path = tmp_path / "half.jpg"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ImageError, match=r"half\.jpg: cannot be decoded \(.*truncated"):
        read_image(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("suffix", [".png", ".webp", ".gif", ".tiff", ".jp2"])
def test_broken_files_of_many_formats_raise_only_our_error(
    tmp_path: Path, suffix: str, share: float
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ImageError, match="cut"):
        read_image(path)


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(ImageError, match=r"empty\.png"):
        read_image(path)


def test_bomb_is_refused_without_allocating_it(bomb: Path) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=r"bomb\.png.*too large"):
            read_image(bomb)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_limit_is_an_argument(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "photo.png"
    photo.save(path)
    assert read_image(path, max_pixels=1200).size == (40, 30)
    with pytest.raises(ImageError, match=r"40 x 30 pixels.*1,199"):
        read_image(path, max_pixels=1199)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(tmp_path / "pipe.png")


def test_nothing_is_handed_to_other_programs() -> None:
    assert not {"EPS", "WMF", "PDF"} & set(image_formats())
    assert ".eps" not in image_suffixes()


def test_file_can_be_removed_after_reading(tmp_path: Path, photo: Image.Image) -> None:
    path = tmp_path / "photo.png"
    photo.save(path)
    image = read_image(path)
    path.unlink()
    assert np.asarray(image).shape == (30, 40, 3)
