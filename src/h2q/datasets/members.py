"""The files of a data set as its publisher ships them: in a folder, or still in their archive."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

from h2q._foreign import reading, size_of
from h2q.errors import FormatError

#: No file of a data set read this way is larger; a larger one is not what it claims to be.
_MAX_BYTES = 1 << 28
#: An archive may unpack to this many times its size, and to this many bytes besides.
_RATIO = 50
_ALWAYS = 64 << 20


def read_members(path: Path, pattern: str) -> dict[str, bytes]:
    """Read the files whose name matches a pattern.

    Parameters
    ----------
    path : Path
        A folder (searched with its sub-folders), or a tar archive, compressed or not.
    pattern : str
        Regular expression for the whole file name, without folders.

    Returns
    -------
    dict of str to bytes
        By file name, sorted. Nothing is unpacked to disk.

    Raises
    ------
    FormatError
        If `path` is neither, the archive is damaged, or a file is larger than 256 MiB.
    """
    wanted = re.compile(pattern)
    found: dict[str, bytes] = {}
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if wanted.fullmatch(file.name) and file.is_file():
                _check_size(file.name, file.stat().st_size)
                found.setdefault(file.name, file.read_bytes())
        return found
    size = size_of(path)
    with reading(path, "a folder or a tar archive"), tarfile.open(path) as archive:
        for member in archive:
            # The offset is that of the next member: nothing of this one is unpacked yet.
            if archive.offset > _RATIO * size + _ALWAYS:
                raise FormatError(f"{path}: unpacks to far more than its {size:,} bytes")
            name = Path(member.name).name
            if wanted.fullmatch(name) and member.isfile() and not member.issparse():
                _check_size(name, member.size)
                stream = archive.extractfile(member)
                if stream is not None:
                    found.setdefault(name, stream.read())
    return dict(sorted(found.items()))


def _check_size(name: str, size: int) -> None:
    if size > _MAX_BYTES:
        raise FormatError(f"{name} has {size} bytes, more than any file of this data set")
