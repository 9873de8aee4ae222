r"""Text of anybody's files on a terminal: what would steer it is shown as ``\x1b`` and the like."""

from __future__ import annotations

import unicodedata
from typing import Final

#: Control characters (C0, C1), marks that turn the direction of writing, halves of characters,
#: separators of lines and paragraphs.
_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Of these, what joins emoji and the letters of some scripts.
_JOINING: Final = frozenset("\u200c\u200d") | frozenset(map(chr, range(0xE0020, 0xE0080)))


def printable(text: str, keep: str = "") -> str:
    r"""Return a text in which nothing steers a terminal.

    Parameters
    ----------
    text : str
    keep : str
        Characters that are left as they are all the same, such as ``"\n"`` of a message.

    Examples
    --------
    >>> printable("cat\x1b[2J.jpg")
    'cat\\x1b[2J.jpg'
    >>> printable("\u202egpj.exe"), printable("é 猫 👩‍👧")
    ('\\u202egpj.exe', 'é 猫 👩‍👧')
    """
    if text.isprintable():
        return text
    return "".join(
        character if character in keep or not steers(character) else _escaped(character)
        for character in text
    )


def steers(character: str) -> bool:
    """Whether a character controls a terminal, or the direction of writing, instead of showing."""
    return unicodedata.category(character) in _STEERING and character not in _JOINING


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]
