"""Which photo of several that show the same picture to keep, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from h2q.duplicates.looks import Look
from h2q.duplicates.photos import Photo

#: Formats from the most faithful: without loss first, then by what they usually keep.
_FAITHFUL: Final = ("TIFF", "PNG", "BMP", "JPEG2000", "HEIF", "AVIF", "JPEG", "MPO", "WEBP")


class Choice(NamedTuple):
    """The photo to keep, the first of `order`, and why it is before the next."""

    order: list[int]
    why: str


def choose(photos: Sequence[Photo], looks: Sequence[Look], protected: Sequence[bool]) -> Choice:
    """Order photos of one picture by what makes one worth keeping.

    The larger resolution, then the more faithful format, then the larger file, then the oldest
    date. A protected photo stays anyway, so it comes before others of its resolution, format and
    size; where all is equal the shorter path comes first.

    Parameters
    ----------
    photos : sequence of Photo
    looks : sequence of Look
        Of each.
    protected : sequence of bool
        Whether each lies in a folder that is protected.
    """

    def key(place: int) -> tuple[object, ...]:
        photo, look = photos[place], looks[place]
        return (
            -look.width * look.height,
            _faith(photo.format),
            -photo.size,
            not protected[place],
            photo.date,
            len(str(photo.path)),
            str(photo.path),
        )

    order = sorted(range(len(photos)), key=key)
    if len(order) < 2:
        return Choice(order, "")
    first, second = order[0], order[1]
    a, b = photos[first], photos[second]
    if key(first)[0] != key(second)[0]:
        why = (
            f"larger: {looks[first].width} x {looks[first].height} pixels against "
            f"{looks[second].width} x {looks[second].height}"
        )
    elif key(first)[1] != key(second)[1]:
        why = f"format: {a.format} keeps more than {b.format or 'another'}"
    elif a.size != b.size:
        why = f"larger file: {a.size:,} bytes against {b.size:,}"
    elif key(first)[3] != key(second)[3]:
        why = "protected, and equal to the others"
    elif a.date != b.date:
        why = f"oldest: {a.date} against {b.date}"
    else:
        why = "equal in all; the shortest path"
    return Choice(order, why)


def is_protected(photo: Photo, folders: Sequence[Path]) -> bool:
    """Whether a photo lies below one of the folders, by its name or by where a link leads."""
    places = (photo.path.absolute(), photo.path.resolve())
    return any(place.is_relative_to(folder) for place in places for folder in folders)


def _faith(name: str) -> int:
    return _FAITHFUL.index(name) if name in _FAITHFUL else len(_FAITHFUL)
