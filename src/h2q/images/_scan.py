"""Find the images of a folder."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from h2q._typing import StrPath
from h2q.errors import InvalidInputError
from h2q.images._formats import image_suffixes


class FoundPhoto(NamedTuple):
    """An image file as a scan found it.

    Attributes
    ----------
    name : str
        Path below the folder that was scanned, with forward slashes.
    size : int
        Bytes; -1 where it cannot be looked at.
    mtime_ns : int
        Time of the last change.
    error : str or None
        Why it cannot be looked at (a link that leads nowhere).
    """

    name: str
    size: int
    mtime_ns: int
    error: str | None = None


def scan_folder(
    folder: StrPath,
    *,
    on_error: Callable[[OSError], None] | None = None,
    on_other: Callable[[Path], None] | None = None,
) -> list[Path]:
    """List the image files below a folder, by suffix, sorted: `find_photos` without a look at them.

    Returns
    -------
    list of pathlib.Path
        Paths that begin with `folder`, sorted by their path below it.
    """
    root = Path(folder)
    found = find_photos(folder, on_error=on_error, on_other=on_other)
    return [root / each.name for each in found]


def find_photos(
    folder: StrPath,
    *,
    on_error: Callable[[OSError], None] | None = None,
    on_other: Callable[[Path], None] | None = None,
) -> list[FoundPhoto]:
    """List the image files below a folder, by suffix, sorted, with their size and time.

    Hidden files and folders (a leading dot) are left out. Links are followed; a folder that can
    be reached by several ways, a loop of links among them, is listed once. A link that leads
    nowhere, a pipe or a device of an image's name is listed, so that whoever reads it can report
    it; `read_image` refuses these without opening them.

    Parameters
    ----------
    folder : path
        Where to look.
    on_error : callable, optional
        Called with the error of a subfolder that cannot be read, which is then passed over;
        without it the error is raised.
    on_other : callable, optional
        Called with every other file that is not hidden: `not_read` and `is_video` know the
        suffixes of those a person would miss.

    Raises
    ------
    InvalidInputError
        If `folder` is not a folder, or cannot be read.
    """
    root = Path(folder)
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise InvalidInputError(f"{root} {what}; give a folder of images")
    suffixes = image_suffixes()
    found: list[FoundPhoto] = []
    seen: set[tuple[int, int]] = set()
    # Linked folders wait until all real ones are seen, so that a file keeps its own path. Strings
    # and not paths: of 100,000 files a Path each takes longer than asking the disk.
    pending, linked = deque([""]), deque[str]()
    top = str(root)
    while pending or linked:
        inside = pending.popleft() if pending else linked.popleft()
        here = os.path.join(top, inside) if inside else top  # noqa: PTH118
        try:
            status = os.stat(here)  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(here) as listing:
                entries = [entry for entry in listing if not entry.name.startswith(".")]
        except OSError as error:
            if on_error is None or not inside:
                raise InvalidInputError(f"the folder {here} cannot be read: {error}") from error
            on_error(error)
            continue
        for entry in entries:
            name = f"{inside}/{entry.name}" if inside else entry.name
            if _is_folder(entry):
                (linked if entry.is_symlink() else pending).append(name)
                continue
            _, dot, suffix = entry.name.rpartition(".")
            if f"{dot}{suffix}".lower() in suffixes:
                found.append(_look(entry, name))
            elif on_other is not None and (entry.is_symlink() or entry.is_file()):
                on_other(root / name)
    return sorted(found, key=lambda each: each.name.split("/"))


def _look(entry: os.DirEntry[str], name: str) -> FoundPhoto:
    try:
        status = entry.stat()
    except OSError as error:
        return FoundPhoto(name, -1, 0, error.strerror or str(error))
    if not stat.S_ISREG(status.st_mode):
        return FoundPhoto(name, -1, 0, "is not a regular file")
    return FoundPhoto(name, status.st_size, status.st_mtime_ns)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; whoever reads it will say so
        return False
