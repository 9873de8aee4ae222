"""The photos of a collection: which lie at hand unchanged, so that what is said can be verified."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from h2q.collections.base import Id


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo that lies where the collection says, unchanged since it was indexed.

    Attributes
    ----------
    row : int
        Its place in the collection, 0 the oldest.
    id : str or int
    path : Path
    sha256 : str
        Of the file.
    size : int
        Bytes.
    mtime_ns : int
    folder : str
        The folder that was indexed.
    taken : str or None
        When the shutter opened, as ISO 8601, where the file says so.
    """

    row: int
    id: Id
    path: Path
    sha256: str
    size: int
    mtime_ns: int
    folder: str
    taken: str | None

    @property
    def date(self) -> str:
        """When it was taken; where that is not known, when the file was last changed."""
        if self.taken is not None:
            return self.taken
        seconds = self.mtime_ns // 10**9
        return datetime.datetime.fromtimestamp(seconds).isoformat()

    @property
    def format(self) -> str:
        """Name of the format, by the suffix: "JPEG", "PNG", ...; "" where it is unknown."""
        Image.init()
        return Image.registered_extensions().get(self.path.suffix.lower(), "")


@dataclass
class AtHand:
    """What of a collection can be verified.

    Attributes
    ----------
    photos : list of Photo
    not_photos : int
        Items that came from elsewhere: rows, codes.
    gone, changed, unreadable : list of Path
        Photos that are not where they were, are not what they were, cannot be read.
    """

    photos: list[Photo] = field(default_factory=list)
    not_photos: int = 0
    gone: list[Path] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)

    @property
    def trouble(self) -> str:
        """What could not be verified, and the remedy; "" where all could."""
        parts = []
        if self.not_photos:
            parts.append(f"{self.not_photos:,} items are no photos")
        if self.gone:
            parts.append(f"{len(self.gone):,} photos are not where they were indexed")
        if self.changed:
            parts.append(f"{len(self.changed):,} have changed since")
        if self.unreadable:
            parts.append(f"{len(self.unreadable):,} cannot be read")
        if not parts:
            return ""
        remedy = ""
        if self.gone or self.changed:
            remedy = "; `h2q index` the folder again (--prune forgets what is gone)"
        return f"cannot verify all: {', '.join(parts)}{remedy}"


def photos_at_hand(
    ids: Sequence[Id],
    payloads: Sequence[Mapping[str, Any] | None],
    paths: Sequence[Path | None],
) -> AtHand:
    """Find the photos of items that lie where they were indexed, by size and time of change.

    Parameters
    ----------
    ids, payloads, paths : sequences
        Of every item of a collection, the oldest first; a path is that of `photo_path`.
    """
    found = AtHand()
    for row, (item_id, payload, path) in enumerate(zip(ids, payloads, paths, strict=True)):
        if payload is None or path is None or not isinstance(payload.get("sha256"), str):
            found.not_photos += 1
            continue
        try:
            status = path.stat()
        except (OSError, ValueError):
            found.gone.append(path)
            continue
        if (status.st_size, status.st_mtime_ns) != (payload.get("size"), payload.get("mtime_ns")):
            found.changed.append(path)
            continue
        taken = payload.get("taken")
        found.photos.append(
            Photo(
                row,
                item_id,
                path,
                payload["sha256"],
                status.st_size,
                status.st_mtime_ns,
                str(payload["folder"]),
                taken if isinstance(taken, str) else None,
            )
        )
    return found
