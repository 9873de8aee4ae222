"""What is remembered of an indexed file, to know it again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from h2q.errors import ImageError


@dataclass(frozen=True)
class PhotoFile:
    """An image file as the scan found it.

    Attributes
    ----------
    id : str
        Path below the folder, with forward slashes, after the prefix if there is one.
    folder : Path
        The folder that was scanned, absolute.
    name : str
        Path below the folder, with forward slashes.
    size, mtime_ns : int
        As the scan saw them.
    """

    id: str
    folder: Path
    name: str
    size: int
    mtime_ns: int

    @property
    def path(self) -> Path:
        """The file, absolute."""
        return self.folder / self.name

    @property
    def label(self) -> str | None:
        """Name of the first folder below the scanned one, as `datasets` labels folders."""
        first, slash, _ = self.name.partition("/")
        return readable(first) if slash else None

    def payload(
        self, size: int, mtime_ns: int, sha256: str, seen: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return what the collection stores with the code.

        Parameters
        ----------
        size, mtime_ns, sha256
            Of the file.
        seen : mapping
            What reading it showed (`h2q.images.Photo.payload`).
        """
        stored: dict[str, Any] = {
            "path": readable(self.name),
            "folder": readable(str(self.folder)),
            "size": size,
            "mtime_ns": mtime_ns,
            "sha256": sha256,
            **seen,
        }
        if readable(str(self.path)) != str(self.path):
            stored["path_hex"] = os.fsencode(self.path).hex()
        if self.label is not None:
            stored["label"] = self.label
        return stored


#: What a payload says of the file and of the indexing; the rest was read from the picture.
_OF_THE_FILE: Final = frozenset(
    {"path", "path_hex", "folder", "size", "mtime_ns", "version", "sha256", "label"}
)


def seen_in(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a stored payload knows from reading the picture: of the same content, too."""
    return {name: value for name, value in payload.items() if name not in _OF_THE_FILE}


def readable(name: str) -> str:
    r"""Return a file name as text; bytes that are not UTF-8 become ``\xe9`` and the like."""
    if name.isascii():
        return name
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def relative_path(path: Path, folder: Path) -> str:
    """Path below the folder, with forward slashes."""
    return path.relative_to(folder).as_posix()


def photo_path(payload: Mapping[str, Any] | None) -> Path | None:
    """Return where the photo of a stored item lies, or None for an item that came otherwise."""
    if not payload or "folder" not in payload or "path" not in payload:
        return None
    if "path_hex" in payload:  # its name is not valid Unicode
        return Path(os.fsdecode(bytes.fromhex(str(payload["path_hex"]))))
    return Path(str(payload["folder"])) / str(payload["path"])


def photo_id(prefix: str, relative: str) -> str:
    """Id of a photo: its path below the folder, after the prefix if there is one."""
    return f"{prefix}/{relative}" if prefix else relative


def content_hash(path: Path) -> str:
    """SHA-256 of a file, read in pieces.

    Raises
    ------
    ImageError
        If it is a pipe or a device, which may never end.
    """
    if path.exists() and not path.is_file():
        raise ImageError(f"{path}: is not a regular file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
