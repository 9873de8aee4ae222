"""Which files are photos, by format and by suffix: those that are read, and those that are not."""

from __future__ import annotations

import functools
from pathlib import PurePath
from typing import Final

from PIL import Image

# Raster formats only: pillow would hand an .eps to Ghostscript and an .wmf to the system.
_FORMATS: Final = (
    "AVIF", "BMP", "DIB", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM",
    "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM",
)  # fmt: skip

_RAW: Final = (
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef",
    ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf",
    ".srw", ".x3f",
)  # fmt: skip
_VIDEO: Final = (
    ".3gp", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv",
    ".webm", ".wmv",
)  # fmt: skip
_OTHER: Final = (".exr", ".hdr", ".jxl", ".psd", ".svg", ".xcf")
_PHONE: Final = (".avif", ".heic", ".heics", ".heif", ".heifs", ".hif")


@functools.cache
def image_formats() -> tuple[str, ...]:
    """Names of the formats `read_image` takes, of those this pillow can open."""
    try:
        import pi_heif
    except ImportError:  # the extra `photos`; without it these files are counted as not read
        pass
    else:
        pi_heif.register_heif_opener()
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@functools.cache
def image_suffixes() -> frozenset[str]:
    """Lower-case file suffixes, with the dot, of the formats `read_image` takes."""
    formats = set(image_formats())
    # Pillow reads MPO as JPEG, and has no suffix for it where it reads.
    return frozenset(
        suffix for suffix, name in Image.registered_extensions().items() if name in formats
    ) | ({".mpo"} if "JPEG" in formats else set())


@functools.cache
def not_read(suffix: str) -> str | None:
    """Say why files of a lower-case suffix are not read; None where they are, or are no photos.

    Examples
    --------
    >>> not_read(".cr2")
    'RAW, which is not read; export it as JPEG or TIFF'
    >>> not_read(".txt")
    """
    if suffix in image_suffixes():
        return None
    if suffix in _PHONE:
        return "needs a reader: pip install 'h2q[photos]'"
    if suffix in _RAW:
        return "RAW, which is not read; export it as JPEG or TIFF"
    if suffix in _OTHER:
        return "a format that is not read; export it as JPEG or PNG"
    return None


def is_video(suffix: str) -> bool:
    """Whether files of a lower-case suffix are films."""
    return suffix in _VIDEO


def suffix_of(name: str) -> str:
    """Lower-case suffix of a file name, with the dot; "" where there is none."""
    return PurePath(name).suffix.lower()
