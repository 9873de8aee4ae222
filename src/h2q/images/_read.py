"""Read one image, or say why it cannot be read: the one way in, whichever door it came through."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError

from h2q._files import check_not_held
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import ImageError, InvalidInputError
from h2q.images._facts import orientation, photo_facts
from h2q.images._formats import image_formats

#: Pixels above which an image is refused; the level at which pillow itself starts to warn.
MAX_PIXELS: Final = 89_478_485

#: What turns an image upright, by its EXIF orientation; 1 is upright already.
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Values of a deep picture scaled at a time.
_BAND: Final = 1 << 20


@dataclass(frozen=True)
class Photo:
    """An image and what its file says of it.

    Attributes
    ----------
    image : PIL.Image.Image
        Upright, mode "RGB", decoded.
    width, height : int
        Pixels of the whole image, upright; `image` may have been decoded smaller.
    facts : dict
        Where the file says so: ``taken`` ("2024-06-01T12:30:00", the camera's local time),
        ``camera``, and ``gps`` (``latitude`` and ``longitude`` in degrees) where asked for.
    """

    image: Image.Image
    width: int
    height: int
    facts: dict[str, Any] = field(default_factory=dict)

    def payload(self) -> dict[str, Any]:
        """Return what a collection stores of it: ``width``, ``height`` and the facts."""
        return {"width": self.width, "height": self.height, **self.facts}


def read_image(
    source: StrPath | bytes | BinaryIO | Image.Image | np.ndarray[Any, Any],
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
) -> Image.Image:
    """Read an image as upright RGB: `read_photo` without the facts."""
    return read_photo(source, max_pixels=max_pixels, name=name).image


def read_photo(
    source: StrPath | bytes | BinaryIO | Image.Image | np.ndarray[Any, Any],
    *,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
    draft_side: int | None = None,
    gps: bool = False,
) -> Photo:
    """Read an image as upright RGB, and what its file says of when and how it was taken.

    The size is read from the header and checked before any pixel is decoded, so a decompression
    bomb costs nothing. The EXIF orientation is applied; transparency is laid on white; 16-bit and
    floating-point greyscale is scaled to 8 bits; of an animation the first frame is taken. Facts
    that are damaged are left out: they make no sound picture unsound.

    Parameters
    ----------
    source : path, bytes, binary file, PIL image or array
        The encoded image, or one that is open: an array is (height, width), or with 3 or 4
        channels last.
    max_pixels : int
        Width x height above which the image is refused. Pillow has a limit of its own,
        `PIL.Image.MAX_IMAGE_PIXELS` x 2, which stays in force.
    name : str, optional
        What to call the image in an error; its path by default.
    draft_side : int, optional
        A JPEG whose shorter side has at least twice so many pixels is decoded at 1/2, 1/4 or 1/8
        of its size, keeping at least so many: several times faster.
    gps : bool
        Whether to read where it was taken.

    Returns
    -------
    Photo

    Raises
    ------
    ImageError
        If the file is missing, is no image, is truncated or broken, or is too large.
    """
    label = name or (str(source) if isinstance(source, str | PathLike) else "image")

    def decode(stream: BinaryIO) -> Photo:
        return _decode(stream, label, max_pixels, draft_side, gps)

    try:
        if isinstance(source, np.ndarray):
            return _finish(_from_array(source, label), label, max_pixels, None, gps)
        if isinstance(source, Image.Image):
            return _opened(source, label, max_pixels, draft_side, gps)
        if isinstance(source, bytes):
            return decode(io.BytesIO(source))
        if not isinstance(source, str | PathLike) and hasattr(source, "read"):
            return decode(source)
        path = as_path(source, "a photo that is no picture, file or bytes")
        if path.exists() and not path.is_file():  # a folder, or a pipe that would never end
            raise ImageError(f"{label}: is not a regular file")
        check_not_held(path)
        with path.open("rb") as stream:
            return decode(stream)
    except (ImageError, InvalidInputError):
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{label}: no such file") from error
    except Exception as error:
        # Decoders meet hostile bytes with errors of every class (OSError, SyntaxError,
        # struct.error, ValueError, ...); each means the same to the caller.
        raise ImageError(f"{label}: {_reason(error)}") from error


def _decode(
    stream: BinaryIO, label: str, max_pixels: int, draft_side: int | None, gps: bool
) -> Photo:
    start = stream.tell()
    try:
        with Image.open(stream, formats=image_formats()) as image:
            return _finish(image, label, max_pixels, draft_side, gps)
    except ValueError as error:
        if "MAX_TEXT" not in str(error):
            raise
    # Pillow refuses a PNG for its long texts or colour profile (a guard against bombs), which
    # nobody reads here: they are left out, and the pixels are what they were.
    stream.seek(start)
    with Image.open(io.BytesIO(_without_texts(stream.read())), formats=["PNG"]) as image:
        return _finish(image, label, max_pixels, draft_side, gps)


def _opened(
    image: Image.Image, label: str, max_pixels: int, draft_side: int | None, gps: bool
) -> Photo:
    """Finish an image that somebody else holds, and leave it as it was."""
    path = getattr(image, "filename", "")
    if draft_side is not None and path and getattr(image, "fp", None) is not None:
        # Not decoded yet: read as by its path, so that both give the same pixels.
        with contextlib.suppress(OSError), Path(path).open("rb") as stream:
            return _decode(stream, label, max_pixels, draft_side, gps)
    try:
        place = image.tell()
    except (AttributeError, EOFError, ValueError):
        place = 0
    if place == 0:
        return _finish(image, label, max_pixels, None, gps)
    image.seek(0)  # of an animation the first frame
    try:
        return _finish(image, label, max_pixels, None, gps)
    finally:
        image.seek(place)


def _finish(
    image: Image.Image, label: str, max_pixels: int, draft_side: int | None, gps: bool
) -> Photo:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{label}: {width} x {height} pixels are more than the {max_pixels:,} allowed; "
            "shrink the image, or raise max_pixels if you trust it"
        )
    if width * height == 0:
        raise ImageError(f"{label}: {width} x {height} pixels: it is empty")
    turn = _UPRIGHT.get(orientation(image))
    facts = photo_facts(image, gps=gps)
    if draft_side is not None and isinstance(image, ImageFile.ImageFile):
        image.draft(None, (draft_side, draft_side))  # only JPEG can; others do nothing
    image.load()
    upright = to_rgb(image if turn is None else image.transpose(turn))
    if (
        turn is not None
        and turn >= Image.Transpose.ROTATE_90
        and turn != Image.Transpose.ROTATE_180
    ):
        width, height = height, width
    return Photo(upright, width, height, facts)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB: transparency on white, deep greyscale scaled to 8 bits."""
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _from_array(array: np.ndarray[Any, Any], label: str) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(
            f"{label}: an array of shape {array.shape} is no image; expected (height, width), or "
            "(height, width, 3 or 4)"
        )
    if array.dtype.kind not in "biuf":
        raise ImageError(f"{label}: an array of {array.dtype} is no image")
    if np.ma.is_masked(array):
        raise ImageError(f"{label}: the array is masked, and a mask would be lost; fill it first")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ImageError(f"{label}: the array holds NaN or infinity; fill these pixels first")
    if array.dtype.kind in "if" and array.size and array.min() < 0:
        raise ImageError(
            f"{label}: the array holds shades below 0 (is it normalised for a network?); give "
            "shades from 0 to 1, or from 0 to 255"
        )
    return Image.fromarray(np.ascontiguousarray(_to_8_bits(array)))


def _to_8_bits(values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Scale shades to 0 to 255: from 0 to 1, or from 16 bits; more is scaled by its maximum."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    # The type says what white is, where it can; else the values do. In bands, because float64 takes
    # eight times the picture.
    height = max(1, _BAND // max(1, values[:1].size))
    bands = [slice(start, start + height) for start in range(0, len(values), height)]
    top = max((float(_finite(values[band]).max(initial=0.0)) for band in bands), default=0.0)
    factor = 1.0
    if values.dtype == np.uint16 or top > 255:
        factor = 255 / max(top, 65535.0)
    elif values.dtype.kind == "f" and top <= 1:
        factor = 255.0
    shades = np.empty(values.shape, dtype=np.uint8)
    for band in bands:
        shades[band] = np.clip(np.rint(_finite(values[band]) * factor), 0, 255)
    return shades


def _finite(values: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    finite: np.ndarray[Any, np.dtype[np.float64]] = np.nan_to_num(values.astype(np.float64))
    return finite


def _without_texts(data: bytes) -> bytes:
    """Leave the texts and the colour profile of a PNG out; what turns it upright stays."""
    kept, place = [data[:8]], 8
    while place + 8 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        kind, end = data[place + 4 : place + 8], place + 12 + length
        if kind not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP") or _turns(data[place + 8 : end - 4]):
            kept.append(data[place:end])
        place = end
    return b"".join(kept)


def _turns(text: bytes) -> bool:
    """Whether a text of a PNG holds EXIF or XMP, and is short enough for pillow."""
    keyword, _, rest = text.partition(b"\0")
    if keyword == b"Raw profile type exif":
        unpacker = zlib.decompressobj()
        with contextlib.suppress(zlib.error):
            unpacker.decompress(rest[1:], 1 << 20)
            return not unpacker.unconsumed_tail
    return keyword == b"XML:com.adobe.xmp" and len(rest) < 1 << 20 and rest[:1] == b"\0"


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "is not an image (or of a format that is not read)"
    if isinstance(error, Image.DecompressionBombError):
        return f"is too large to be read safely ({error})"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    return f"cannot be decoded ({error or type(error).__name__})"
