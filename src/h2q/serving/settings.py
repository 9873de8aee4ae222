"""What the person who starts a server decides."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from h2q._addresses import is_loopback
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import FormatError, InvalidInputError

Scope: TypeAlias = Literal["read", "write"]
SCOPES: Final[tuple[Scope, ...]] = ("read", "write")
_MIB: Final = 1 << 20
_LEAST_KEY: Final = 16


@dataclass(frozen=True)
class ApiKey:
    """A key a client must show, and what it may do.

    Attributes
    ----------
    name : str
        Who it was given to; it stands in the log instead of the key.
    digest : bytes
        SHA-256 of the key: the key itself is not kept.
    scopes : frozenset of {"read", "write"}
    """

    name: str
    digest: bytes = field(repr=False)
    scopes: frozenset[Scope]

    @classmethod
    def of(cls, name: str, key: str, *scopes: Scope) -> ApiKey:
        """Make one of its text.

        Raises
        ------
        InvalidInputError
            If the key is too short to be a secret.
        """
        if len(key) < _LEAST_KEY:
            raise InvalidInputError(
                f"the API key of {name!r} has fewer than {_LEAST_KEY} characters; make one with "
                "`python -c 'import secrets; print(secrets.token_urlsafe())'`"
            )
        return cls(name, hashlib.sha256(key.encode()).digest(), frozenset(scopes or SCOPES))

    def is_made_of(self, key: str) -> bool:
        """Whether this is the key, in a time that does not depend on where they differ."""
        return hmac.compare_digest(self.digest, hashlib.sha256(key.encode()).digest())


def read_keys(path: StrPath) -> tuple[ApiKey, ...]:
    """Read keys from a JSON file: ``{"NAME": {"key": "...", "scopes": ["read"]}, ...}``.

    Raises
    ------
    FormatError
        If the file is not of that form; no key is shown in the message.
    """
    try:
        content = json.loads(as_path(path).read_text(encoding="utf-8"))
        keys = tuple(
            ApiKey.of(name, entry["key"], *_scopes(name, entry.get("scopes", SCOPES)))
            for name, entry in content.items()
        )
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"the keys {path} cannot be read: {error}") from error
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        reason = f" ({error})" if isinstance(error, InvalidInputError) else ""
        raise FormatError(
            f'{path} holds no keys{reason}; write {{"NAME": {{"key": "...", '
            '"scopes": ["read", "write"]}}'
        ) from None
    if not keys:
        raise FormatError(f"{path} holds no keys; name at least one")
    return keys


def _scopes(name: str, given: object) -> tuple[Scope, ...]:
    if not isinstance(given, list | tuple) or not given or not set(given) <= set(SCOPES):
        raise InvalidInputError(f'the scopes of {name!r} are a list of "read" and "write"')
    return tuple(given)


@dataclass(frozen=True)
class Settings:
    """How a collection is served.

    Attributes
    ----------
    host, port : str, int
        Where the server listens. Another host than this machine needs `keys`.
    keys : tuple of ApiKey
        Empty: everybody who reaches the server may read and write.
    hosts : tuple of str
        Further names under which the server may be asked (the `Host` header), besides those of
        this machine and `host`: a page elsewhere cannot reach it by rebinding a name of its own.
    roots : tuple of Path or None
        Folders of which photos are shown; None: those the collection holds when it is opened.
    read_only : bool
        Nothing can be added or deleted.
    max_body : int
        Bytes of a request at most.
    max_pixels : int
        Pixels of a photo at most.
    rate : float
        Requests a second of one client; 0 does not limit. Bursts may be ten times as large.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    keys: tuple[ApiKey, ...] = ()
    hosts: tuple[str, ...] = ()
    roots: tuple[Path, ...] | None = None
    read_only: bool = False
    max_body: int = 32 * _MIB
    max_pixels: int = 64_000_000
    rate: float = 0.0

    def __post_init__(self) -> None:
        if not self.keys and not is_loopback(self.host):
            raise InvalidInputError(
                f"the host {self.host} can be reached from other machines, so it needs API keys; "
                "give --keys FILE, or listen on 127.0.0.1"
            )

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """Names in the `Host` header, lower case and without port."""
        names = {"localhost", "127.0.0.1", "::1", *self.hosts}
        if self.host not in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
            names.add(self.host)
        return frozenset(name.lower() for name in names)


def roots_of(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the folders named, resolved.

    Raises
    ------
    InvalidInputError
        If one is no folder.
    """
    for path in paths:
        if not path.is_dir():
            raise InvalidInputError(f"the root {path} is no folder")
    return tuple(path.resolve() for path in paths)
