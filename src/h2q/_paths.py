"""What a caller hands over as a path: a text, or our own error that says what it is instead."""

from __future__ import annotations

import os
from pathlib import Path

from h2q.errors import InvalidInputError


def path_text(path: object, what: str = "the path") -> str:
    """Return a path, or an address, as text.

    Parameters
    ----------
    path : object
        What was given.
    what : str
        What the message calls it.

    Raises
    ------
    InvalidInputError
        If it is no str and no `os.PathLike`, is bytes, is empty, or holds the character NUL.

    Examples
    --------
    >>> path_text("photos.h2q")
    'photos.h2q'
    >>> path_text(b"photos.h2q")
    Traceback (most recent call last):
    ...
    h2q.errors.InvalidInputError: the path is bytes (b'photos.h2q'); give os.fsdecode(path)
    """
    try:
        text = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        raise InvalidInputError(
            f"{what} is a str or a pathlib.Path, got {path!r:.80} ({type(path).__name__})"
        ) from None
    if isinstance(text, bytes):
        # Not decoded here: where a path may be given, the content of a file often may be, too.
        raise InvalidInputError(f"{what} is bytes ({text!r:.80}); give os.fsdecode(path)")
    if not text:
        raise InvalidInputError(f"{what} is empty; give a path, '.' for this folder")
    if "\0" in text:
        raise InvalidInputError(f"{what} {text!r:.80} holds the character NUL, which no name has")
    return str(text)


def as_path(path: object, what: str = "the path") -> Path:
    """Return what a caller gave as a `Path`; the errors are those of `path_text`."""
    return Path(path_text(path, what))
