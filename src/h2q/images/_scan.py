"""Find the images of a folder."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from pathlib import Path
from stat import S_ISREG
from typing import Final, NamedTuple

from h2q._collector import collector_paused
from h2q._paths import as_path
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
    version : int or str
        Time of the last change in nanoseconds; of a photo in a store, what the store says.
    error : str or None
        Why it cannot be looked at (a link that leads nowhere).
    """

    name: str
    size: int
    version: int | str
    error: str | None = None


_name_of: Final = itemgetter(0)
#: Whether a folder is listed by its handle: names in it need not be looked up from the root.
_BY_HANDLE: Final = os.scandir in os.supports_fd
#: Faster than the class itself, which has names and a default.
_found: Final = partial(tuple.__new__, FoundPhoto)


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
    root = as_path(folder, "the folder")
    found = find_photos(folder, on_error=on_error, on_other=on_other)
    return [root / each.name for each in found]


def find_photos(
    folder: StrPath,
    *,
    on_error: Callable[[OSError], None] | None = None,
    on_other: Callable[[Path], None] | None = None,
) -> list[FoundPhoto]:
    """List the image files below a folder, by suffix, with size and time, in `folder_order`.

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
    root = as_path(folder, "the folder")
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise InvalidInputError(f"{root} {what}; give a folder of images")
    suffixes = image_suffixes()
    found: list[FoundPhoto] = []
    seen: set[tuple[int, int]] = set()
    # Linked folders wait until all real ones are seen, so that a file keeps its own path. Strings
    # and not paths, no call that can be spared, and names asked for within the open folder: of
    # 100,000 files all that takes longer than asking the disk.
    pending, linked = [""], deque[str]()
    top, in_order = str(root), True
    with collector_paused():
        while pending or linked:
            inside = pending.pop() if pending else linked.popleft()
            below = f"{inside}/" if inside else ""
            handle = -1
            here: list[FoundPhoto] = []
            folders: list[str] = []
            try:
                place = os.path.join(top, inside) if inside else top  # noqa: PTH118
                if _BY_HANDLE:
                    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
                status = os.stat(place if handle < 0 else handle)  # noqa: PTH116
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                with os.scandir(place if handle < 0 else handle) as listing:
                    for entry in listing:
                        name = entry.name
                        if name[0] == ".":
                            continue
                        try:
                            is_folder = entry.is_dir()
                        except OSError:  # a link to itself; whoever reads it will say so
                            is_folder = False
                        if is_folder:
                            if entry.is_symlink():
                                linked.append(below + name)
                            else:
                                folders.append(below + name)
                            continue
                        dot = name.rfind(".")
                        if dot >= 0 and (name[dot:] in suffixes or name[dot:].lower() in suffixes):
                            try:
                                status = entry.stat()
                            except OSError as error:
                                why = error.strerror or str(error)
                                here.append(FoundPhoto(below + name, -1, 0, why))
                                continue
                            if S_ISREG(status.st_mode):
                                seen_as = (below + name, status.st_size, status.st_mtime_ns, None)
                                here.append(_found(seen_as))
                            else:
                                here.append(
                                    FoundPhoto(below + name, -1, 0, "is not a regular file")
                                )
                        elif on_other is not None and (entry.is_symlink() or entry.is_file()):
                            on_other(root / (below + name))
            except OSError as error:
                if on_error is None or not inside:
                    raise InvalidInputError(
                        f"the folder {place} cannot be read: {error}"
                    ) from error
                error.filename = place
                on_error(error)
                continue
            finally:
                if handle >= 0:
                    os.close(handle)
            here.sort(key=_name_of)
            found += here
            pending += sorted(folders, reverse=True)
            in_order = in_order and not (linked or (here and folders))
        if not in_order:  # photos beside a folder come before or after all that is in it
            found.sort(key=folder_order)
    return found


def folder_order(photo: FoundPhoto) -> str:
    """Return what sorts photos folder by folder: a slash comes before any character of a name."""
    return photo.name.replace("/", "\0")
