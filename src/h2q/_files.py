"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from h2q._typing import StrPath


@contextmanager
def written_whole(path: StrPath) -> Iterator[BinaryIO]:
    """Open a new file for writing that takes the place of `path` only when all went well.

    It has a temporary name in the same folder, is flushed to the disk, and is then renamed; if
    the block raises, `path` is as it was.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
    >>> with written_whole(target) as file:
    ...     _ = file.write(b"whole")
    >>> target.read_bytes()
    b'whole'
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: StrPath, data: bytes) -> None:
    """Write a file whole or not at all (`written_whole`)."""
    with written_whole(path) as file:
        file.write(data)
