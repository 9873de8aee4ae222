"""What a photo's file says of itself: when, with what and where it was taken (EXIF)."""

from __future__ import annotations

import contextlib
import datetime
import math
from collections.abc import Mapping
from typing import Any, Final

from PIL import ExifTags, Image

#: Of a text that is no text but a damaged file.
_LONGEST: Final = 100
_BASE, _EXIF, _GPS = ExifTags.Base, ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo


def orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 (upright) where none can be read."""
    value = _exif(image).get(_BASE.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def photo_facts(image: Image.Image, *, gps: bool) -> dict[str, Any]:
    """Read ``taken``, ``camera`` and, where asked for, ``gps``, of those that are there."""
    exif = _exif(image)
    facts = {"taken": _taken(exif), "camera": _camera(exif), "gps": _place(exif) if gps else None}
    return {name: value for name, value in facts.items() if value is not None}


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except Exception:  # damaged EXIF raises errors of every class; the picture is as sound as ever
        return Image.Exif()


def _part(exif: Image.Exif, ifd: ExifTags.IFD) -> Mapping[int, Any]:
    try:
        return exif.get_ifd(ifd)
    except Exception:
        return {}


def _taken(exif: Image.Exif) -> str | None:
    """Return when the shutter opened, else when it was scanned, else the file's own date."""
    details = _part(exif, _EXIF)
    for value in (
        details.get(_BASE.DateTimeOriginal),
        details.get(_BASE.DateTimeDigitized),
        exif.get(_BASE.DateTime),
    ):
        text = _text(value)
        if text is None:
            continue
        for form in ("%Y:%m:%d %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"):
            # Cameras whose clock was never set write 0000:00:00; some add a time zone.
            with contextlib.suppress(ValueError):
                return datetime.datetime.strptime(text[:19], form).isoformat()
    return None


def _camera(exif: Image.Exif) -> str | None:
    make, model = _text(exif.get(_BASE.Make)), _text(exif.get(_BASE.Model))
    if make and model and not model.lower().startswith(make.lower().split()[0]):
        return f"{make} {model}"
    return model or make


def _place(exif: Image.Exif) -> dict[str, float] | None:
    part, tags = _part(exif, _GPS), ExifTags.GPS
    latitude = _degrees(part.get(tags.GPSLatitude), part.get(tags.GPSLatitudeRef), "S", 90)
    longitude = _degrees(part.get(tags.GPSLongitude), part.get(tags.GPSLongitudeRef), "W", 180)
    if latitude is None or longitude is None:
        return None
    return {"latitude": latitude, "longitude": longitude}


def _degrees(value: Any, reference: Any, negative: str, most: float) -> float | None:
    try:
        degrees, minutes, seconds = (float(part) for part in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    found = degrees + minutes / 60 + seconds / 3600
    if not math.isfinite(found) or abs(found) > most:
        return None
    sign = -1 if _text(reference) == negative else 1
    return round(sign * found, 6)


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    text = " ".join(value.replace("\0", " ").split())[:_LONGEST]
    # A lone half of a surrogate pair cannot be stored.
    return text.encode("utf-8", "replace").decode() or None
