"""The folder the demo writes to: its own or empty, never somebody's files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import InvalidInputError

_MARK: Final = ".h2q-demo"
#: What an earlier demo left and the next one makes anew.
_MADE: Final = (
    "photos",
    "queries",
    "run",
    "digits.h2q",
    "digits.h2q-wal",
    "digits.h2q-shm",
)


def prepare_folder(path: StrPath) -> Path:
    """Make the folder, or clear what an earlier demo left in it.

    Raises
    ------
    InvalidInputError
        If it cannot be made, or holds files that are not the demo's.
    """
    folder = as_path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / _MARK
        if not mark.exists() and any(folder.iterdir()):
            raise InvalidInputError(
                f"{folder} holds other files; choose an empty or a new folder (--out)"
            )
        mark.touch()
        for name in _MADE:
            made = folder / name
            if made.is_dir():
                shutil.rmtree(made)
            else:
                made.unlink(missing_ok=True)
    except OSError as error:
        remedy = "choose a folder where you may write, with room on the disk (--out)"
        raise InvalidInputError(
            f"the demo cannot write to {folder} ({error.strerror or error}); {remedy}"
        ) from error
    return folder
