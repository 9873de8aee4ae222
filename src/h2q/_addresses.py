"""Addresses of collections as they may be shown: without their passwords."""

from __future__ import annotations

import re
from typing import Final

_SECRETS: Final = re.compile(r"([?&](?:password|sslpassword|token)=)[^&]*", re.IGNORECASE)


def without_password(uri: str) -> str:
    """Return the address of a collection without what must not be shown.

    Examples
    --------
    >>> without_password("postgresql://me:secret@host/database?collection=photos")
    'postgresql://me@host/database?collection=photos'
    """
    scheme, sign, rest = uri.partition("://")
    if not sign:
        return uri
    # The last one: a password may have another in it.
    user, at, place = rest.rpartition("@")
    if at:
        rest = f"{user.partition(':')[0]}@{place}"
    return _SECRETS.sub(r"\1***", f"{scheme}://{rest}")
