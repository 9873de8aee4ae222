"""The photos below a folder, or below a prefix of an object store."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from h2q._paths import path_text
from h2q._typing import StrPath
from h2q.errors import InvalidInputError
from h2q.images import FoundPhoto, find_photos, image_suffixes, is_video, not_read, suffix_of
from h2q.ingest.photo_files import PhotoFile, photo_id, readable
from h2q.ingest.report import Skipped
from h2q.rowfiles.storage import find_files, is_url


@dataclass(frozen=True)
class PhotoListing:
    """What a scan of a folder, or of a prefix of a store, found.

    Attributes
    ----------
    folder : str
        Absolute path, or the URL without a slash at its end.
    photos : list of FoundPhoto
        In `h2q.images.folder_order`.
    skipped : list of Skipped
        Photos in formats that are not read, and folders that may not be.
    passed_over : dict of str to int
        Films, counted by their suffix.
    """

    folder: str
    photos: list[FoundPhoto]
    skipped: list[Skipped] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether it is a plain folder of this machine."""
        return not is_url(self.folder)

    def file(self, found: FoundPhoto, prefix: str = "") -> PhotoFile:
        """Return one of its photos with the id it gets."""
        name, size, version, _ = found
        return PhotoFile(photo_id(prefix, readable(name)), self.folder, name, size, version)

    def files(self, prefix: str = "") -> list[PhotoFile]:
        """Return all of its photos that can be looked at."""
        return [self.file(each, prefix) for each in self.photos if each.error is None]

    def broken(self) -> list[Skipped]:
        """Return the photos that cannot be looked at, and why."""
        return [Skipped(self.file(f).shown, f.error) for f in self.photos if f.error is not None]


def list_photos(source: StrPath) -> PhotoListing:
    """List the photos below a folder or URL.

    Raises
    ------
    InvalidInputError
        If it does not exist or holds no photo that is read; says what it holds instead.
    """
    name = path_text(source, "the folder")
    if not is_url(name):
        return _of_folder(Path(name).expanduser().resolve())
    url = name.rstrip("/")
    found = find_files(url, image_suffixes())
    return PhotoListing(url, [FoundPhoto(each.name, each.size, each.version) for each in found])


def _of_folder(root: Path) -> PhotoListing:
    skipped: list[Skipped] = []
    films: Counter[str] = Counter()

    def note(error: OSError) -> None:
        name = readable(str(error.filename))
        skipped.append(Skipped(name, error.strerror or str(error)))

    def other(path: Path) -> None:
        suffix = suffix_of(path.name)
        reason = not_read(suffix)
        if reason is not None:
            skipped.append(Skipped(readable(str(path)), reason))
        elif is_video(suffix):
            films[suffix] += 1

    photos = find_photos(root, on_error=note, on_other=other)
    if not photos:
        counted = Counter(suffix_of(each.path) for each in skipped) + films
        there = ", ".join(f"{n:,} {suffix or 'folders'}" for suffix, n in counted.most_common(5))
        raise InvalidInputError(
            f"{root} holds no image that can be read (a file with a suffix such as .jpg, .png or "
            f".webp that is not hidden){f', but {there}' if there else ''}; is it the right folder?"
        )
    return PhotoListing(str(root), photos, skipped, dict(films))
