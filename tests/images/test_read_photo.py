from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q.errors import ImageError
from h2q.images import image_formats, read_image, read_photo
from tests.images.heic import HEIC


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif_of(**tags: object) -> Image.Exif:
    exif = Image.Exif()
    for name, value in tags.items():
        exif[{"orientation": 0x112, "make": 0x10F, "model": 0x110, "date": 0x132}[name]] = value
    return exif


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_comes_upright(photo: Image.Image, orientation: int) -> None:
    turns = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # what the camera saw, lying on its side
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    marked = photo.copy()
    marked.paste((0, 255, 0), (0, 0, 10, 5))  # no symmetry is left
    turn = turns[orientation]
    lying = marked if turn is None else marked.transpose(turn)
    read = read_photo(encoded(lying, "PNG", exif=exif_of(orientation=orientation)))
    assert (read.width, read.height) == (40, 30)
    np.testing.assert_array_equal(np.asarray(read.image), np.asarray(marked))


def test_facts_of_a_camera(photo: Image.Image) -> None:
    exif = exif_of(make="NIKON CORPORATION", model="NIKON D90", date="2024:01:01 00:00:00")
    exif.get_ifd(0x8769)[0x9003] = "2023:12:24 18:05:09"
    exif.get_ifd(0x8825).update({1: "S", 2: (33.0, 51.0, 30.0), 3: "E", 4: (151.0, 12.0, 36.0)})
    data = encoded(photo, "JPEG", exif=exif)
    photo_read = read_photo(data, gps=True)
    assert photo_read.payload() == {
        "width": 40,
        "height": 30,
        "taken": "2023-12-24T18:05:09",
        "camera": "NIKON D90",
        "gps": {"latitude": -33.858333, "longitude": 151.21},
    }
    assert "gps" not in read_photo(data).payload()  # only where asked for


@pytest.mark.parametrize(
    ("tags", "facts"),
    [
        ({"make": "Canon", "model": "EOS 5D"}, {"camera": "Canon EOS 5D"}),
        ({"date": "0000:00:00 00:00:00"}, {}),
        ({"date": "2021:07:04 10:11:12+02:00"}, {"taken": "2021-07-04T10:11:12"}),
        ({"make": "\0\0", "model": "Pixel\0 8  "}, {"camera": "Pixel 8"}),
    ],
)
def test_facts_as_cameras_really_write_them(
    photo: Image.Image, tags: dict[str, object], facts: dict[str, str]
) -> None:
    assert read_photo(encoded(photo, "JPEG", exif=exif_of(**tags))).facts == facts


def test_damaged_exif_leaves_a_sound_picture(photo: Image.Image) -> None:
    plain = encoded(photo, "JPEG", exif=exif_of(make="Canon", date="2024:01:01 00:00:00"))
    start = plain.index(b"Exif\0\0") + 6
    for place in range(start, start + 40):
        broken = bytearray(plain)
        broken[place] ^= 0xFF
        assert read_photo(bytes(broken)).image.size in {(40, 30), (30, 40)}


def test_heic_of_a_phone(tmp_path: Path) -> None:
    pytest.importorskip("pi_heif")
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(HEIC)
    photo = read_photo(path)
    assert photo.payload() == {
        "width": 64,
        "height": 48,
        "taken": "2024-06-01T12:30:00",
        "camera": "Phone 7",
    }
    red, _, blue = np.asarray(photo.image)[24, 10].astype(int)
    assert red > 200 > 60 > blue


@pytest.mark.parametrize("kind", ["AVIF", "WEBP", "MPO", "JPEG2000"])
def test_formats_people_have(photo: Image.Image, kind: str) -> None:
    if kind != "MPO" and kind not in image_formats():  # a kind of JPEG to pillow
        pytest.skip(f"this pillow reads no {kind}")
    pixels = np.asarray(read_image(encoded(photo, kind))).astype(int)
    assert pixels.shape == (30, 40, 3)
    assert abs(pixels[15, 5] - [255, 0, 0]).max() < 20


def test_the_first_frame_of_an_animation(photo: Image.Image) -> None:
    data = encoded(photo, "GIF", save_all=True, append_images=[Image.new("RGB", (40, 30), "lime")])
    first = np.asarray(read_image(data))
    assert first[15, 5, 0] > 200
    opened = Image.open(io.BytesIO(data))
    opened.seek(1)
    np.testing.assert_array_equal(np.asarray(read_image(opened)), first)
    assert opened.tell() == 1  # whoever opened it goes on where it was


def door_cases(photo: Image.Image) -> dict[str, bytes]:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    return {
        "turned": encoded(photo, "JPEG", exif=exif_of(orientation=6)),
        "large": encoded(photo.resize((1200, 900)), "JPEG"),
        "clear": encoded(clear, "PNG"),
        "palette": encoded(palette, "GIF", transparency=1),
        "deep": encoded(Image.fromarray(np.full((8, 8), 30000, np.uint16)), "PNG"),
        "float": encoded(Image.fromarray(np.full((8, 8), 0.5, np.float32)), "TIFF"),
        "cmyk": encoded(photo.convert("CMYK"), "JPEG"),
        "one bit": encoded(photo.convert("1"), "PNG"),
    }


def test_one_picture_whichever_door_it_came_through(tmp_path: Path, photo: Image.Image) -> None:
    for name, data in door_cases(photo).items():
        path = tmp_path / name
        path.write_bytes(data)
        for side in (None, 200):
            wanted = np.asarray(read_photo(path, draft_side=side).image)
            for source in (data, io.BytesIO(data), Image.open(path)):
                found = np.asarray(read_photo(source, draft_side=side).image)
                np.testing.assert_array_equal(found, wanted, err_msg=name)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32, np.float64, np.bool_])
def test_arrays_of_every_kind(kind: type) -> None:
    white = {np.uint8: 255, np.uint16: 65535}.get(kind, 1)
    array = np.zeros((4, 6, 3), dtype=kind)
    array[:, 3:] = white
    pixels = np.asarray(read_image(array))
    assert pixels[:, :3].max() == 0
    assert pixels[:, 3:].min() == 255
    np.testing.assert_array_equal(np.asarray(read_image(array[:, :, 0])), pixels)


def test_a_dark_16_bit_array_stays_dark() -> None:
    assert np.asarray(read_image(np.full((2, 2), 200, np.uint16))).max() == 1


@pytest.mark.parametrize("shape", [(3, 8, 8), (8,), (2, 8, 8, 3), (8, 8, 2), (0, 8)])
def test_arrays_that_are_no_images(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=r"image: .*(shape|empty)"):
        read_image(np.zeros(shape, np.uint8))


def test_a_draft_is_smaller_and_says_the_true_size(photo: Image.Image) -> None:
    data = encoded(photo.resize((2000, 1500)), "JPEG", exif=exif_of(orientation=6))
    photo_read = read_photo(data, draft_side=400)
    assert (photo_read.width, photo_read.height) == (1500, 2000)
    assert photo_read.image.size == (750, 1000)
    assert read_photo(data, draft_side=1000).image.size == (1500, 2000)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_long_texts_of_a_png_do_not_make_it_unsound(photo: Image.Image, kind: bytes) -> None:
    png = encoded(photo, "PNG", exif=exif_of(orientation=6))
    packed = zlib.compress(b"n" * 3_000_000)
    body = b"workflow\0" + (b"\1\0\0\0" if kind == b"iTXt" else b"\0") + packed
    image = read_image(png[:33] + chunk(kind, body) + png[33:])
    assert image.size == (30, 40)  # still turned upright


def test_many_texts_of_a_png(photo: Image.Image) -> None:
    png = encoded(photo, "PNG")
    text = chunk(b"zTXt", b"prompt\0\0" + zlib.compress(b"n" * 900_000))
    assert read_image(png[:33] + 100 * text + png[33:]).size == (40, 30)


def test_a_text_bomb_in_a_png_costs_nothing(photo: Image.Image) -> None:
    png = encoded(photo, "PNG")
    bomb = chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"0" * 200_000_000, 9))
    assert read_image(png[:33] + bomb + png[33:]).size == (40, 30)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4, 3), np.inf, np.float32), "infinity"),
        (np.full((4, 4), -0.5), "below 0"),
        (np.full((4, 4, 3), -1, np.int16), "below 0"),
        (np.ma.masked_equal(np.eye(4, dtype=np.uint8), 1), "masked"),
    ],
    ids=["nan", "infinity", "normalised", "negative", "masked"],
)
def test_an_array_that_is_no_picture_is_never_made_one(array: np.ndarray, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_photo(array)
