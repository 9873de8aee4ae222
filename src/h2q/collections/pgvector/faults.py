"""What PostgreSQL and its client report, said in the terms of this project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from h2q.errors import CollectionError, H2QError

#: What to do, by the first letters of the SQLSTATE; the longest that fits counts.
_REMEDIES: Final = {
    "53": "the server has no room for it (disk, memory or connections); make some and repeat the "
    "call",
    "55P03": "another client has been writing for too long; repeat the call later",
    "57014": "the server gave it up (statement_timeout); repeat the call or allow more time",
    "57P": "the server is shutting down or starting; repeat the call later",
    "58": "the server cannot use its files; see its log",
    "XX": "the server or its data is damaged; see its log",
    "25006": "this server or session only reads; open the collection with mode='r'",
    "40": "another client was in the way; repeat the call",
    "42501": "the user of the address may not do this; grant it, or give another user",
    "22026": "codes of another length are among those of the collection; restore it from a copy",
    "42804": "the tables are not those of an h2q collection; give another database or collection",
    "42809": "the tables are not those of an h2q collection; give another database or collection",
    "42883": "the tables are not those of an h2q collection; give another database or collection",
    "42P01": "the tables of the collection are not there any more; open it again",
    "42703": "the tables are not those of an h2q collection; give another database or collection",
    "54000": "an item is larger than PostgreSQL stores; make it smaller",
}
_LOST: Final = (
    "the connection was lost in the middle of the call: {}; {}. The next call connects again"
)


class ConnectionFailedError(CollectionError):
    """No connection to the server could be made."""


@contextmanager
def reported(shown: str, outcome: str = "nothing was changed") -> Iterator[None]:
    """Turn errors of psycopg into errors of a collection.

    Parameters
    ----------
    shown : str
        The address without its secrets.
    outcome : str
        What a failure means for what was being done.

    Raises
    ------
    CollectionError
    """
    try:
        yield
    except H2QError:
        raise
    except psycopg.Error as error:
        raise CollectionError(f"{shown}: {_said(error, outcome)}") from error
    except OSError as error:
        raise CollectionError(f"{shown}: {error.strerror or error}; {outcome}") from error


def _said(error: psycopg.Error, outcome: str) -> str:
    state = error.sqlstate
    if state is None and isinstance(error, psycopg.OperationalError):
        return _LOST.format(_first_line(error), outcome)
    if (state is not None and state[:2] in ("08",)) or state in ("57P01", "57P02"):
        return _LOST.format(_first_line(error), outcome)
    fitting = [each for each in _REMEDIES if (state or "").startswith(each)]
    remedy = _REMEDIES[max(fitting, key=len)] if fitting else "see the server's log"
    return f"{_first_line(error)} ({state}): {outcome}; {remedy}"


def failed_to_connect(shown: str, error: psycopg.Error) -> ConnectionFailedError:
    """Say why no connection could be made, and what to do. Never shows the password."""
    text = str(error)
    if "password" in text or "authentication" in text or "role" in text or "pg_hba" in text:
        remedy = (
            "check the user and password of the address (or PGPASSWORD, ~/.pgpass), and that the "
            "server lets them in"
        )
    elif "database" in text and "does not exist" in text:
        remedy = "check the database's name in the address, or make it with: createdb NAME"
    else:
        remedy = "check that the server runs there and can be reached from here"
    return ConnectionFailedError(f"{shown}: cannot connect: {_first_line(error)}; {remedy}")


def _first_line(error: psycopg.Error) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
