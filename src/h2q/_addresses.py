"""Addresses as they may be shown: without their passwords, wherever in a text they stand."""

from __future__ import annotations

import re
from typing import Final

#: What may be an address: it has no space and no quote in it.
_WORD: Final = re.compile(r"[^\s'\"<>|]*@[^\s'\"<>|]*")
#: The names of what is a secret, in a query or among the settings of a connection.
_SETTING: Final = re.compile(
    r"""((?:\b[\w.-]*(?:passw(?:or)?d|pwd|token|secret|signature|credential|[_-]key|apikey|accesskey)
    [\w.-]*|\bsig|(?<=[?&])key)\s*=\s*)('[^']*'|[^&\s'"]+)""",
    re.IGNORECASE | re.VERBOSE,
)


def without_secrets(text: str) -> str:
    """Return a text without the passwords, tokens and keys of the addresses in it.

    An address may be mistyped, so any ``name:secret@`` is taken for one, whatever stands before it.

    Examples
    --------
    >>> without_secrets("postgresql://me:secret@host/database?collection=photos: no such host")
    'postgresql://me@host/database?collection=photos: no such host'
    >>> without_secrets("https://host/rows.npy?X-Amz-Signature=abc&part=1")
    'https://host/rows.npy?X-Amz-Signature=***&part=1'
    """
    if "@" in text:
        text = _WORD.sub(lambda found: _without_password(found[0]), text)
    return _SETTING.sub(r"\1***", text) if "=" in text else text


def _without_password(word: str) -> str:
    end = word.rindex("@")  # the last one: a password may have another in it
    colon = word.find(":", 0, end)
    if word[colon : colon + 2] == ":/":  # of the scheme
        colon = word.find(":", colon + 1, end)
    return word if colon < 0 else word[:colon] + word[end:]
