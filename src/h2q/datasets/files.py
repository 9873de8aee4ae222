"""Checking that the image files of a data set are there and look like images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from PIL import Image

from h2q._foreign import shortened
from h2q._typing import StrPath
from h2q.errors import ImageError, InvalidInputError
from h2q.images import image_formats, read_image

#: How closely files are looked at when a data set is loaded.
Verify = Literal["none", "exists", "header", "full"]
_SHOWN = 10


def unreadable(paths: Sequence[StrPath], verify: Verify = "header") -> dict[int, str]:
    """Find the files that cannot be read as images.

    Parameters
    ----------
    paths : sequence of path-like
        Files.
    verify : {"none", "exists", "header", "full"}
        Look at nothing; that the file is there; that its first bytes are an image's (some
        microseconds a file); or decode all of it.

    Returns
    -------
    dict of int to str
        Position of each bad file, and the reason.
    """
    if verify not in get_args(Verify):
        raise InvalidInputError(f"verify must be one of {get_args(Verify)}, got {verify!r}")
    bad: dict[int, str] = {}
    for i, path in enumerate(paths):
        reason = None if verify == "none" else _fault(Path(path), verify)
        if reason is not None:
            bad[i] = reason
    return bad


def listed(faults: Sequence[str]) -> str:
    """Return the first few of `faults`, a line each, and how many there are besides."""
    lines = [f"  {fault}" for fault in faults[:_SHOWN]]
    if len(faults) > _SHOWN:
        lines.append(f"  ... and {len(faults) - _SHOWN} more")
    return "\n".join(lines)


def _fault(path: Path, verify: Verify) -> str | None:
    try:
        if not path.is_file():
            return "is no regular file" if path.exists() else "there is no such file"
    except OSError as error:  # a name no file can have
        return error.strerror or str(error)
    if verify == "exists":
        return None
    if verify == "full":
        try:
            read_image(path)
        except ImageError as error:
            return str(error)
        return None
    try:
        with Image.open(path, formats=image_formats()):
            return None
    except Exception as error:  # decoders raise errors of every class
        return shortened(str(error)) or "not an image"
