"""The address of a collection on a Milvus server."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from h2q.errors import InvalidInputError

_FORM: Final = "milvus://[user:password@]host:port/name"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_DEFAULT_PORT: Final = 19530
_DEFAULT_DATABASE: Final = "default"

_T = TypeVar("_T")
Consistency: TypeAlias = Literal["Strong", "Session", "Bounded", "Eventually"]
_LEVELS: Final[dict[str, Consistency]] = {
    "strong": "Strong",
    "session": "Session",
    "bounded": "Bounded",
    "eventually": "Eventually",
}


@dataclass(frozen=True)
class Address:
    """Where a collection is, and how it is reached.

    Attributes
    ----------
    host, port, user, password, database, name
    secure : bool
        Whether to speak TLS.
    consistency : str
        Which writes a read must see, in Milvus's words.
    """

    host: str
    port: int
    name: str
    user: str = ""
    password: str = field(default="", repr=False)
    database: str = _DEFAULT_DATABASE
    secure: bool = False
    consistency: Consistency = "Strong"

    @property
    def server(self) -> str:
        """Address of the server, as its client takes it."""
        return f"{'https' if self.secure else 'http'}://{self.host}:{self.port}"

    def __str__(self) -> str:
        """Say what may be shown: no password."""
        user = f"{self.user}@" if self.user else ""
        options = "" if self.database == _DEFAULT_DATABASE else f"?database={self.database}"
        return f"milvus://{user}{self.host}:{self.port}/{self.name}{options}"


def parse_address(uri: str) -> Address:
    """Parse ``milvus://[user:password@]host[:port]/name[?database=...&secure=...]``.

    The query may have ``database``, ``secure`` ("true": TLS) and ``consistency`` ("strong", the
    default, "session", "bounded" or "eventually").

    Raises
    ------
    InvalidInputError
        If it is of another form; the message shows no password.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port or _DEFAULT_PORT
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        # Not what Python says of it: a part of a password may be taken for the port.
        raise InvalidInputError(
            f"not an address of the form {_FORM} (it is not shown: it may hold a password); the "
            "signs @ : / ? # % of a password are written as %40 %3A %2F %3F %23 %25"
        ) from None
    name = unquote(parts.path.removeprefix("/"))
    if parts.scheme.lower() != "milvus" or not parts.hostname or parts.fragment:
        raise InvalidInputError(f"an address of a Milvus collection has the form {_FORM}")
    if _NAME.fullmatch(name) is None:
        raise InvalidInputError(
            f"the name of a Milvus collection has letters (a-z), digits and _, begins with no "
            f"digit and has at most 200 characters, got {name!r}; the address has the form {_FORM}"
        )
    unknown = set(options) - {"database", "secure", "consistency"}
    if unknown:
        raise InvalidInputError(
            f"unknown {', '.join(sorted(unknown))} in the address; there are database, secure and "
            "consistency"
        )
    return Address(
        host=parts.hostname,
        port=port,
        name=name,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=options.get("database", _DEFAULT_DATABASE),
        secure=_choice("secure", options.get("secure", "false"), {"true": True, "false": False}),
        consistency=_choice("consistency", options.get("consistency", "strong"), _LEVELS),
    )


def _choice(name: str, value: str, choices: dict[str, _T]) -> _T:
    if value.lower() not in choices:
        raise InvalidInputError(f"{name}={value} in the address: it is {' or '.join(choices)}")
    return choices[value.lower()]
