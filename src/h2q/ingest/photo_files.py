"""What is remembered of an indexed file, to know it again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from h2q._addresses import without_secrets
from h2q.errors import ImageError, InvalidInputError
from h2q.rowfiles.storage import is_url, join


@dataclass(frozen=True)
class PhotoFile:
    """A photo of a folder, or of a prefix of an object store, as the scan found it.

    Attributes
    ----------
    id : str
        Path below the folder, with forward slashes, after the prefix if there is one.
    folder : str
        What was scanned: an absolute path, or a URL as its driver needs it.
    name : str
        Path below the folder, with forward slashes.
    size : int
        Bytes as the scan saw them; -1 where a store does not say.
    version : int or str
        Changes when the file does: nanoseconds of the last change, or what the store says.
    """

    id: str
    folder: str = field(repr=False)  # a store's may hold a password
    name: str
    size: int
    version: int | str

    @property
    def is_local(self) -> bool:
        """Whether it is a plain file of this machine."""
        return not is_url(self.folder)

    @property
    def url(self) -> str:
        """What opens it: a path or URL."""
        return join(self.folder, self.name)

    @property
    def path(self) -> Path:
        """The local file, absolute."""
        return Path(self.url)

    @property
    def shown(self) -> str:
        """The file by a name for people."""
        return readable(self.url) if self.is_local else without_secrets(self.url)

    @property
    def label(self) -> str | None:
        """Name of the first folder below the scanned one, as `datasets` labels folders."""
        first, slash, _ = self.name.partition("/")
        return readable(first) if slash else None

    def payload(
        self, sha256: str, seen: Mapping[str, Any], status: os.stat_result | None = None
    ) -> dict[str, Any]:
        """Return what the collection stores with the code.

        Parameters
        ----------
        sha256 : str
            Of its content.
        seen : mapping
            What reading it showed (`h2q.images.Photo.payload`).
        status : os.stat_result, optional
            Of the file when it was read, where that is newer than the scan.
        """
        size, version = self.size, self.version
        if status is not None:
            size, version = status.st_size, status.st_mtime_ns
        stored: dict[str, Any] = {
            "path": readable(self.name),
            "folder": folder_text(self.folder),
            "size": size,
            version_key(self.folder): version,
            "sha256": sha256,
            **seen,
        }
        if self.is_local and readable(self.url) != self.url:
            stored["path_hex"] = os.fsencode(self.path).hex()
        if self.label is not None:
            stored["label"] = self.label
        return stored


def folder_text(folder: str) -> str:
    """Return a scanned folder as payloads name it: readable, and without secrets."""
    return without_secrets(folder) if is_url(folder) else readable(folder)


def version_key(folder: str) -> str:
    """Return the key of a payload that says which version of the file was read."""
    return "version" if is_url(folder) else "mtime_ns"


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


def photo_path(payload: Mapping[str, Any] | None) -> Path | None:
    """Return where the photo of a stored item lies, or None for an item that came otherwise."""
    if not payload or "folder" not in payload or "path" not in payload:
        return None
    if "path_hex" in payload:  # its name is not valid Unicode
        try:
            return Path(os.fsdecode(bytes.fromhex(str(payload["path_hex"]))))
        except ValueError:  # anyone's payload
            return None
    return Path(str(payload["folder"])) / str(payload["path"])


def check_prefix(prefix: object) -> None:
    """Raise `InvalidInputError` unless what goes before ids is a text."""
    if not isinstance(prefix, str):
        raise InvalidInputError(f"prefix is a text that goes before ids, got {prefix!r:.80}")


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
