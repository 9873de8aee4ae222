"""The address of a collection behind a server, and the key it is asked with."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from h2q._addresses import Address, is_loopback
from h2q.errors import InvalidInputError

#: The environment variable that holds the key of an address without one.
KEY_VARIABLE: Final = "H2Q_API_KEY"


class HttpAddress(Address[str | None]):
    """Where a server is; its secret is the API key, or None.

    Parameters
    ----------
    url : str
        Without the key; ends with "/".
    key : str or None
    is_local : bool
        Whether it is on this machine.
    """

    def __init__(self, url: str, key: str | None, *, is_local: bool) -> None:
        super().__init__(url, key)
        self.url, self.is_local = url, is_local


def parse_address(uri: str) -> HttpAddress:
    """Take ``http://:KEY@host:port/path/`` apart; without a key, that of `H2Q_API_KEY` is taken.

    Raises
    ------
    InvalidInputError
        If it is not understood. The message shows nothing of it: a part may be a key.
    """
    found = _parts(uri)
    if found is None:
        raise _not_understood()
    parts, host, port, key = found
    if not host or parts.query or parts.fragment or "@" in parts.path or not host.isprintable():
        raise _not_understood()
    if parts.username and key is None:  # as many services take them: http://KEY@host/
        key = unquote(parts.username)
    key = key or os.environ.get(KEY_VARIABLE) or None
    if key is not None and not (key.isascii() and key.isprintable()):
        raise InvalidInputError(
            "the API key has signs that no header can carry; it is ASCII without spaces"
        )
    place = f"[{host}]" if ":" in host else host
    place += "" if port is None else f":{port}"
    path = parts.path.rstrip("/")
    url = f"{parts.scheme.lower()}://{place}{path}/"
    return HttpAddress(url, key, is_local=is_loopback(host))


def _parts(uri: str) -> tuple[SplitResult, str, int | None, str | None] | None:
    """Take a URL apart; None, without the words of Python, which quote it, where it cannot be."""
    try:
        parts = urlsplit(uri)
        key = None if parts.password is None else unquote(parts.password, errors="strict")
        return parts, parts.hostname or "", parts.port, key
    except (ValueError, UnicodeError):
        return None


def _not_understood() -> InvalidInputError:
    return InvalidInputError(
        "the http:// address is not understood (it is not shown, for it may hold a key); give "
        f"http://:KEY@host:port/, or http://host:port/ and the key in {KEY_VARIABLE}, with the "
        "signs @ : / ? # % of a key written as %40 %3A %2F %3F %23 %25"
    )
