"""The address of a collection on a Milvus server."""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias, TypeVar
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from h2q._addresses import Address
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


class MilvusAddress(Address[str]):
    """Where a collection is, and how it is reached; its secret is the password.

    Parameters
    ----------
    host, port, name, user, password, database
    secure : bool
        Whether to speak TLS.
    consistency : str
        Which writes a read must see, in Milvus's words.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        name: str,
        user: str = "",
        password: str = "",
        database: str = _DEFAULT_DATABASE,
        secure: bool = False,
        consistency: Consistency = "Strong",
    ) -> None:
        before = f"{user}@" if user else ""
        options = "" if database == _DEFAULT_DATABASE else f"?database={database}"
        super().__init__(f"milvus://{before}{host}:{port}/{name}{options}", password)
        self.host, self.port, self.name, self.user = host, port, name, user
        self.database, self.secure, self.consistency = database, secure, consistency

    @property
    def server(self) -> str:
        """Address of the server, as its client takes it."""
        return f"{'https' if self.secure else 'http'}://{self.host}:{self.port}"


def parse_address(uri: str) -> MilvusAddress:
    """Parse ``milvus://[user:password@]host[:port]/name[?database=...&secure=...]``.

    The query may have ``database``, ``secure`` ("true": TLS) and ``consistency`` ("strong", the
    default, "session", "bounded" or "eventually").

    Raises
    ------
    InvalidInputError
        If it is of another form; the message shows no password.
    """
    found = _parts(uri)
    if found is None:
        # Not what Python says of it: a part of a password may be taken for the port.
        raise InvalidInputError(
            f"not an address of the form {_FORM} (it is not shown: it may hold a password); the "
            "signs @ : / ? # % of a password are written as %40 %3A %2F %3F %23 %25"
        )
    parts, port, options = found
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
    return MilvusAddress(
        host=parts.hostname,
        port=port,
        name=name,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=options.get("database", _DEFAULT_DATABASE),
        secure=_choice("secure", options.get("secure", "false"), {"true": True, "false": False}),
        consistency=_choice("consistency", options.get("consistency", "strong"), _LEVELS),
    )


def _parts(uri: str) -> tuple[SplitResult, int, dict[str, str]] | None:
    try:
        parts = urlsplit(uri)
        port = parts.port or _DEFAULT_PORT
        return parts, port, dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        return None


def _choice(name: str, value: str, choices: dict[str, _T]) -> _T:
    if value.lower() not in choices:
        raise InvalidInputError(f"{name}={value} in the address: it is {' or '.join(choices)}")
    return choices[value.lower()]
