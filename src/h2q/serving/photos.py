"""Photos of a collection as pictures for the page, and nothing else of the disk."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from PIL import Image

from h2q.collections.base import Item
from h2q.collections.http.wire import key_of
from h2q.errors import ImageError
from h2q.images import read_image
from h2q.ingest.photo_files import photo_path
from h2q.serving.side_file import SideFile

#: Longest side of a thumbnail and of a photo on the page, in pixels.
THUMBNAIL: Final = 256
LARGE: Final = 2048
#: Names of photos of which it is kept whether they may be shown.
_MOST_SEEN: Final = 50_000


class PhotoStore:
    """Reads the photos of items, below the roots alone, and keeps their thumbnails.

    Parameters
    ----------
    roots : iterable of Path
        Folders whose photos may be shown.
    side_file : SideFile
    max_pixels : int
        Larger photos are refused.
    """

    def __init__(self, roots: Iterable[Path], side_file: SideFile, max_pixels: int) -> None:
        self.roots = tuple(sorted({root.resolve() for root in roots}))
        self._side_file = side_file
        self._max_pixels = max_pixels
        # Decoding a photo takes some hundred MiB at the worst: not forty at once.
        self._decoding = threading.BoundedSemaphore(4)
        self._seen: dict[tuple[str, str], bool] = {}
        self._seen_lock = threading.Lock()

    def allows(self, payload: Mapping[str, Any] | None) -> bool:
        """Whether the photo that a payload names lies below the roots, or it names none."""
        return photo_path(payload) is None or self.path(payload) is not None

    def path(self, payload: Mapping[str, Any] | None) -> Path | None:
        """Return where the photo of an item lies, None where it has none below the roots.

        Links are followed first, so one inside a root that leads out of it is not.
        """
        named = photo_path(payload)
        if named is None or not named.is_absolute():
            return None
        try:
            real = named.resolve()
        except (OSError, ValueError, RuntimeError):  # a loop of links, a NUL
            return None
        return real if any(real.is_relative_to(root) for root in self.roots) else None

    def shows(self, payload: Mapping[str, Any] | None) -> bool:
        """Whether an item has a photo below the roots, as was seen when it was first asked.

        For lists of many items, where following links takes longer than the search. Whoever reads
        a photo looks anew.
        """
        folder, path = (payload or {}).get("folder"), (payload or {}).get("path")
        if (
            not isinstance(folder, str)
            or not isinstance(path, str)
            or "path_hex" in (payload or {})
        ):
            return self.path(payload) is not None
        with self._seen_lock:
            known = self._seen.get((folder, path))
        if known is None:
            known = self.path(payload) is not None
            with self._seen_lock:
                if len(self._seen) >= _MOST_SEEN:
                    self._seen.clear()
                self._seen[folder, path] = known
        return known

    def thumbnail(self, item: Item) -> bytes:
        """Return a small WebP of an item's photo, made once.

        Raises
        ------
        ImageError
            If it has no photo that can be read.
        """
        key, stamp = key_of(item.id), stamp_of(item.payload)
        kept = self._side_file.thumbnail(key, stamp)
        if kept is None:
            kept = self.drawn(item, THUMBNAIL)
            self._side_file.keep_thumbnail(key, stamp, kept)
        return kept

    def drawn(self, item: Item, longest: int) -> bytes:
        """Return an item's photo as a WebP of a longest side of so many pixels at most.

        Raises
        ------
        ImageError
            If it has no photo that can be read.
        """
        path = self.path(item.payload)
        if path is None:
            raise ImageError(f"the item {item.id!r} has no photo that may be shown")
        with self._decoding:
            return webp_of(read_image(path, max_pixels=self._max_pixels), longest)

    def read_upload(self, data: bytes) -> Image.Image:
        """Read a photo that came over the network.

        Raises
        ------
        ImageError
            If it is none, or too large.
        """
        with self._decoding:
            return read_image(data, max_pixels=self._max_pixels)


def webp_of(image: Image.Image, longest: int) -> bytes:
    """Return a picture as WebP, made smaller where its longest side exceeds `longest` pixels."""
    if max(image.size) > longest:
        image = image.copy()
        image.thumbnail((longest, longest), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=82, method=2)
    return file.getvalue()


def mark_of(item: Item, longest: int, file: Path | None = None) -> str | None:
    """Return what changes when such a picture of an item does; None where nothing tells.

    Parameters
    ----------
    item : Item
    longest : int
    file : path, optional
        Of the photo, where the picture is drawn from the file as it is now.
    """
    facts = item.payload or {}
    if not facts.get("sha256") and facts.get("mtime_ns") is None:
        return None
    now = None
    if file is not None:
        try:
            about = file.stat()
        except OSError:
            return None
        now = about.st_mtime_ns, about.st_size
    where = (stamp_of(facts), facts.get("folder"), facts.get("path"), longest, now)
    return hashlib.sha256(repr(where).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def stamp_of(payload: Mapping[str, Any] | None) -> str:
    """Return what changes when an item's photo does."""
    facts = payload or {}
    return str(facts.get("sha256") or f"{facts.get('size')}-{facts.get('mtime_ns')}")
