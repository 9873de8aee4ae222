"""Find the images of a folder."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

from h2q._typing import StrPath
from h2q.errors import InvalidInputError
from h2q.images._formats import image_suffixes


def scan_folder(
    folder: StrPath,
    *,
    on_error: Callable[[OSError], None] | None = None,
    on_other: Callable[[Path], None] | None = None,
) -> list[Path]:
    """List the image files below a folder, by suffix, sorted.

    Hidden files and folders (a leading dot) are left out. Links are followed; a folder that can
    be reached by several ways, a loop of links among them, is listed once. A link that leads
    nowhere is listed, so that whoever reads it can report it.

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

    Returns
    -------
    list of pathlib.Path
        Paths that begin with `folder`, sorted by their path below it.

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
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    # Linked folders wait until all real ones are seen, so that a file keeps its own path.
    pending, linked = deque([root]), deque[Path]()
    while pending or linked:
        here = pending.popleft() if pending else linked.popleft()
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(here) as listing:
                entries = [entry for entry in listing if not entry.name.startswith(".")]
        except OSError as error:
            if on_error is None or here == root:
                raise InvalidInputError(f"the folder {here} cannot be read: {error}") from error
            on_error(error)
            continue
        for entry in entries:
            path = here / entry.name
            if _is_folder(entry):
                (linked if entry.is_symlink() else pending).append(path)
            elif entry.is_symlink() or entry.is_file():
                if path.suffix.lower() in suffixes:
                    found.append(path)
                elif on_other is not None:
                    on_other(path)
    start = len(root.parts)
    return sorted(found, key=lambda path: path.parts[start:])


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; whoever reads it will say so
        return False
