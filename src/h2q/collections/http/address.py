"""The address of a collection behind a server, and the key it is asked with."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote, urlsplit

from h2q.errors import InvalidInputError

#: The environment variable that holds the key of an address without one.
KEY_VARIABLE: Final = "H2Q_API_KEY"


@dataclass(frozen=True)
class Address:
    """Where a server is.

    Attributes
    ----------
    url : str
        Without the key; ends with "/".
    key : str or None
        API key.
    is_local : bool
        Whether it is on this machine.
    """

    url: str
    key: str | None = field(repr=False)
    is_local: bool


def parse_address(uri: str) -> Address:
    """Take ``http://:KEY@host:port/path/`` apart; without a key, that of `H2Q_API_KEY` is taken.

    Raises
    ------
    InvalidInputError
        If it is not understood. The message shows nothing of it: a part may be a key.
    """
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port
        key = None if parts.password is None else unquote(parts.password, errors="strict")
    except (ValueError, UnicodeError):
        raise _not_understood() from None
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
    return Address(f"{parts.scheme.lower()}://{place}{path}/", key, _is_local(host))


def _not_understood() -> InvalidInputError:
    return InvalidInputError(
        "the http:// address is not understood (it is not shown, for it may hold a key); give "
        f"http://:KEY@host:port/, or http://host:port/ and the key in {KEY_VARIABLE}, with the "
        "signs @ : / ? # % of a key written as %40 %3A %2F %3F %23 %25"
    )


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
