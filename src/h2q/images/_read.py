"""Read one image, or say why it cannot be read."""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from h2q._typing import StrPath
from h2q.errors import ImageError

#: Pixels above which an image is refused; the level at which pillow itself starts to warn.
MAX_PIXELS: Final = 89_478_485

# Raster formats only: pillow would hand an .eps to Ghostscript and an .wmf to the system.
_FORMATS: Final = (
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM",
    "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM",
)  # fmt: skip


def image_formats() -> tuple[str, ...]:
    """Names of the formats `read_image` takes, of those this pillow can open."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def image_suffixes() -> frozenset[str]:
    """Lower-case file suffixes, with the dot, of the formats `read_image` takes."""
    formats = set(image_formats())
    return frozenset(
        suffix for suffix, name in Image.registered_extensions().items() if name in formats
    )


def read_image(
    source: StrPath | bytes | BinaryIO, *, max_pixels: int = MAX_PIXELS, name: str | None = None
) -> Image.Image:
    """Read an image as upright RGB.

    The size is read from the header and checked before any pixel is decoded, so a decompression
    bomb costs nothing. The EXIF orientation is applied; transparency is laid on white; 16-bit
    greyscale is scaled to 8; of an animation the first frame is taken.

    Parameters
    ----------
    source : path, bytes or binary file
        Where the encoded image is.
    max_pixels : int
        Width x height above which the image is refused. Pillow has a limit of its own,
        `PIL.Image.MAX_IMAGE_PIXELS` x 2, which stays in force.
    name : str, optional
        What to call the image in an error; its path by default.

    Returns
    -------
    PIL.Image.Image
        Mode "RGB", fully decoded, the file closed.

    Raises
    ------
    ImageError
        If the file is missing, is no image, is truncated or broken, or is too large.
    """
    label = name or (str(source) if isinstance(source, str | PathLike) else "image")
    try:
        if isinstance(source, bytes):
            return _decode(io.BytesIO(source), label, max_pixels)
        if not isinstance(source, str | PathLike):
            return _decode(source, label, max_pixels)
        path = Path(source)
        if path.exists() and not path.is_file():  # a folder, or a pipe that would never end
            raise ImageError(f"{label}: is not a regular file")
        with path.open("rb") as stream:
            return _decode(stream, label, max_pixels)
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{label}: no such file") from error
    except Exception as error:
        # Decoders meet hostile bytes with errors of every class (OSError, SyntaxError,
        # struct.error, ValueError, ...); each means the same to the caller.
        raise ImageError(f"{label}: {_reason(error)}") from error


def _decode(stream: BinaryIO, label: str, max_pixels: int) -> Image.Image:
    with Image.open(stream, formats=image_formats()) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise ImageError(
                f"{label}: {width} x {height} pixels are more than the {max_pixels:,} allowed; "
                "shrink the image, or raise max_pixels if you trust it"
            )
        image.load()
        return _to_rgb(ImageOps.exif_transpose(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _from_deep_grey(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Scale greyscale of more than 8 bits; pillow's own conversion would clip it at 255."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    top = float(values.max(initial=0.0))
    if top > 255:
        values = values * (255 / max(top, 65535.0))
    elif image.mode == "F" and top <= 1:
        values = values * 255
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "is not an image (or of a format that is not read)"
    if isinstance(error, Image.DecompressionBombError):
        return f"is too large to be read safely ({error})"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    return f"cannot be decoded ({error or type(error).__name__})"
