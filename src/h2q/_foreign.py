"""Where the errors of other libraries become ours: what a file that is not ours may do, is bounded.

Libraries meet hostile bytes with errors of every class (`zlib.error`, `tokenize.TokenError`,
`RecursionError`, `MemoryError`, `OverflowError`, ...). To whoever gave the file each means the
same: it cannot be read. So a reader puts the calls of the other library, and no more, into
`reading`.
"""

from __future__ import annotations

import errno
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from h2q._files import check_not_held
from h2q.errors import FormatError, H2QError, InvalidInputError

#: Faults of the machine, not of the file: they say what they are, and pass.
_OF_THE_MACHINE: Final = frozenset(
    {
        errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP,
        errno.ENAMETOOLONG, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS,
        errno.ESTALE, errno.ETIMEDOUT,
    }
)  # fmt: skip
_LONGEST: Final = 400
#: A file may unpack to this many times its size, or to this many bytes.
RATIO: Final = 200
ALWAYS: Final = 64 << 20


@contextmanager
def reading(name: object, what: str, remedy: str = "") -> Iterator[None]:
    """Turn whatever is raised inside into a `FormatError` that names the file.

    Parameters
    ----------
    name : object
        The file.
    what : str
        What it should be, with an article: "a Parquet file".
    remedy : str
        What to do about it.

    Raises
    ------
    FormatError
        Also for an error of ours that does not name the file.
    OSError
        Where the machine, not the content of the file, is at fault: no such file, no permission.

    Examples
    --------
    >>> with reading("a.json", "a JSON file"):
    ...     json.loads("[1,")
    Traceback (most recent call last):
    ...
    h2q.errors.FormatError: a.json: damaged, truncated or not a JSON file (Expecting value: ...)
    """
    try:
        yield
    except (InvalidInputError, FormatError) as error:
        if str(name) in str(error):
            raise
        raise FormatError(f"{name}: {shortened(str(error))}") from error
    except H2QError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            raise
        after = f"; {remedy}" if remedy else ""
        raise FormatError(
            f"{name}: damaged, truncated or not {what} ({_reason(error)}){after}"
        ) from error


@contextmanager
def naming(name: object) -> Iterator[None]:
    """Give an error of ours the name of the file, where it does not have it."""
    try:
        yield
    except (InvalidInputError, FormatError) as error:
        if str(name) in str(error):
            raise
        raise type(error)(f"{name}: {error}") from error


def parse_json(text: str | bytes, name: object, what: str = "a JSON file") -> Any:
    """Parse JSON of a file that may be hostile.

    Raises
    ------
    FormatError
        If it is none, is nested too deeply, or holds a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except Exception:  # the way that says what is wrong costs more than parsing
        with reading(name, what):
            return json.loads(text)


def size_of(path: Path) -> int:
    """Bytes of a regular file.

    Raises
    ------
    FormatError
        If it is a pipe, a device or a socket, which may never end.
    InvalidInputError
        If it is the file of a collection that is open (`check_not_held`).
    """
    check_not_held(path)
    status = path.stat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        raise FormatError(f"{path}: not a regular file; give the path of a file")
    return status.st_size


def check_share(name: object, size: int, claimed: int, remedy: str) -> None:
    """Refuse a file that would unpack to far more than its size.

    Parameters
    ----------
    name : object
        The file.
    size, claimed : int
        Bytes it has, and bytes its content would take.
    remedy : str
        What to do about it, where the file is to be trusted.

    Raises
    ------
    FormatError
    """
    if claimed > max(ALWAYS, RATIO * size):
        raise FormatError(
            f"{name}: {size:,} bytes that would unpack to {claimed:,}; if you trust it, {remedy}"
        )


def shortened(text: str) -> str:
    """Cut a message that quotes a hostile file."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not {error.encoding.upper()} text at byte {error.start:,}"
    text = shortened(str(error).strip())
    plain = isinstance(error, ValueError | OSError | EOFError)
    return (
        text
        if text and plain
        else f"{type(error).__name__}: {text}"
        if text
        else (type(error).__name__)
    )
