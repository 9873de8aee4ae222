r"""Ids as text: str and int apart, and any str, also one with a NUL, which PostgreSQL refuses.

A str is kept as it is, but for a backslash, written ``\\``, and a NUL, written ``\0``. An int is
written ``\i`` and its digits. So `1` is ``\i1``, `"1"` is ``1``, and photo.jpg is itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from h2q.collections.inputs import Id
from h2q.errors import InvalidInputError

#: Bytes of an id as text: an entry of PostgreSQL's index holds no more (2704, less its header).
LONGEST_ID: Final = 2600
_DIGITS: Final = re.compile(r"-?[0-9]{1,20}")
_ESCAPED: Final = re.compile(r"\\([\\0])")


def to_text(item_id: Id) -> str:
    """Return an id as it is written in the table."""
    if isinstance(item_id, int):
        return f"\\i{item_id}"
    if "\\" in item_id or "\0" in item_id:
        return item_id.replace("\\", "\\\\").replace("\0", "\\0")
    return item_id


def from_text(text: str) -> Id:
    """Return the id that is written so; ValueError where it is none."""
    if "\\" not in text:
        return text
    if text.startswith("\\i"):
        digits = text[2:]
        if not _DIGITS.fullmatch(digits):
            raise ValueError(f"{text[:40]!r} is no id as h2q writes it")
        return int(digits)
    return _ESCAPED.sub(lambda found: "\0" if found[1] == "0" else "\\", text)


def checked(ids: Sequence[Id], texts: Sequence[str]) -> list[bytes]:
    """Return the texts in UTF-8; refuse an id that is too long to be kept."""
    encoded = [text.encode() for text in texts]
    for item_id, data in zip(ids, encoded, strict=True):
        if len(data) > LONGEST_ID:
            raise InvalidInputError(
                f"the id {str(item_id)[:40]!r}... has {len(data)} bytes; an id in PostgreSQL has "
                f"at most {LONGEST_ID}: shorten it, or keep it in the payload"
            )
    return encoded
