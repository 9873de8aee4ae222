"""The address of a collection: where the server is, and which of its collections is meant."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, Final
from urllib.parse import quote, unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from h2q._addresses import Address
from h2q.errors import InvalidInputError

#: The collection of an address that names none.
DEFAULT_NAME: Final = "default"
#: Bytes of a name: PostgreSQL cuts longer names of tables (63 bytes with what h2q adds).
_LONGEST_NAME: Final = 48
_SECRETS: Final = ("password", "sslpassword", "oauth_client_secret")
_PLACE: Final = ("user", "host", "hostaddr", "port", "dbname")


class PgvectorAddress(Address[dict[str, str]]):
    """Where a collection is; its secret are the settings libpq connects with.

    Parameters
    ----------
    parameters : dict
        What libpq connects with, the password among it.
    collection : str
        Name of the collection.
    """

    __slots__ = ("collection",)

    def __init__(self, parameters: dict[str, str], collection: str) -> None:
        super().__init__(_shown(parameters, collection), parameters)
        self.collection = collection


def parse_address(uri: str) -> PgvectorAddress:
    """Take ``postgresql://user:password@host:port/database?collection=NAME`` apart.

    All but `collection` is libpq's own form of an address, with its options (``sslmode=require``)
    and defaults (``PGPASSWORD``, ``~/.pgpass``, a Unix socket).

    Raises
    ------
    InvalidInputError
        If it is not understood. The message shows nothing of it: a part may be a password.
    """
    # The last one: a password may have another in it.
    rest, sign, query = uri.rpartition("?")
    if not sign:
        rest, query = uri, ""
    kept, names = [], []
    for part in query.split("&") if query else []:
        name, _, value = part.partition("=")
        if name == "collection":
            names.append(unquote(value))
        else:
            kept.append(part)
    scheme, _, body = rest.partition("://")
    given = _settings(f"{scheme.lower()}://{body}?{'&'.join(kept)}")
    if given is None:
        raise _not_understood()
    parameters = {key: str(value) for key, value in given.items() if value is not None}
    # A password with a plain "@", "/" or ":" in it is cut there, and its end taken for something
    # else.
    places = parameters.get("host", "") + parameters.get("port", "").replace(",", "")
    if "@" in places or not parameters.get("port", "0").replace(",", "").isdecimal():
        raise _not_understood()
    if "@" in parameters.get("dbname", ""):
        raise _not_understood()
    if len(names) > 1:
        raise InvalidInputError("the address names more than one collection; name one")
    name = _as_name(names[0] if names else DEFAULT_NAME)
    return PgvectorAddress(parameters, name)


def _settings(uri: str) -> dict[str, Any] | None:
    """Take an address apart as libpq does; None, without its words, where it cannot."""
    try:
        return conninfo_to_dict(uri)
    except (psycopg.Error, UnicodeError):
        return None


def _not_understood() -> InvalidInputError:
    return InvalidInputError(
        "the postgresql:// address is not understood (it is not shown, for it may hold a "
        "password); give postgresql://user:password@host:port/database?collection=NAME, with the "
        "signs @ : / ? # % of a password written as %40 %3A %2F %3F %23 %25"
    )


def _as_name(name: str) -> str:
    # psycopg takes a % for a parameter, also in the name of a table.
    if (
        not name
        or "\0" in name
        or "%" in name
        or len(name.encode(errors="replace")) > _LONGEST_NAME
    ):
        raise InvalidInputError(
            f"the name of a collection has 1 to {_LONGEST_NAME} bytes and no %, got {name!r}; "
            "give ?collection=NAME"
        )
    return name


def _quoted(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("/") else quote(host, safe="")


def _shown(parameters: dict[str, str], name: str) -> str:
    user = f"{quote(parameters['user'], safe='')}@" if "user" in parameters else ""
    hosts = parameters.get("host", parameters.get("hostaddr", "")).split(",")
    ports = parameters.get("port", "").split(",")
    if len(ports) == 1:
        ports *= len(hosts)
    places = ",".join(
        _quoted(host) + (f":{port}" if port else "")
        for host, port in zip_longest(hosts, ports, fillvalue="")
    )
    options = {k: v for k, v in parameters.items() if k not in _PLACE and k not in _SECRETS}
    asked = "&".join(f"{k}={quote(v, safe='')}" for k, v in {**options, "collection": name}.items())
    database = quote(parameters.get("dbname", ""), safe="")
    return f"postgresql://{user}{places}/{database}?{asked}"
