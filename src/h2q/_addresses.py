"""Addresses as they may be shown: without their passwords, wherever in a text they stand."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Any, Final, Generic, NoReturn, Self, TypeVar

_SecretT = TypeVar("_SecretT")

#: What may be an address: it has no space and no quote in it.
# Tried where a word begins alone: a text may be long, and otherwise this takes its square.
_WORD: Final = re.compile(r"(?<![^\s'\"<>|])[^\s'\"<>|]*@[^\s'\"<>|]*")
#: The names of what is a secret, in a query or among the settings of a connection.
_SETTING: Final = re.compile(
    r"""((?:\b[\w.-]*(?:passw(?:or)?d|pwd|token|secret|signature|credential|[_-]key|apikey|accesskey)
    [\w.-]*|\bsig|(?<=[?&])key)\s*=\s*)('[^']*'|[^&\s'"]+)""",
    re.IGNORECASE | re.VERBOSE,
)

#: Causes of causes that are looked at.
_DEEPEST: Final = 50


class Address(Generic[_SecretT]):
    """Where something is, which cannot show its secret: not printed, formatted, dumped or pickled.

    Engines derive theirs from it, with what else their addresses say.

    Parameters
    ----------
    shown : str
        The address; a password that an ``@`` or a name like ``token=`` betrays is taken out.
    secret : object
        What the driver needs: a password, a key, a URL with one, the settings of a connection.

    Examples
    --------
    >>> address = Address("s3://me:password@bucket/photos", "s3://me:password@bucket/photos")
    >>> print(address)
    s3://me@bucket/photos
    >>> address.secret()
    's3://me:password@bucket/photos'
    """

    __slots__ = ("_held", "shown")

    def __init__(self, shown: str, secret: _SecretT) -> None:
        self.shown = without_secrets(shown)
        self._held: Callable[[], _SecretT] = lambda: secret  # nothing that prints objects enters it

    @classmethod
    def of(cls, url: str) -> Address[str]:
        """Make one of a URL, which as a whole is what its driver needs."""
        return Address(url, url)

    def secret(self) -> _SecretT:
        """Return the secret; for the driver alone."""
        return self._held()

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.shown}>"

    def __format__(self, spec: str) -> str:
        return format(self.shown, spec)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, known: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"an address is not pickled, for it may hold a secret: {self.shown}")


def hush(error: BaseException | None) -> None:
    """Take the secrets out of an error of another library, and of what caused it, in their place.

    So that whoever prints the causes of an error, or a traceback, does not print a password.
    """
    seen: set[int] = set()
    waiting = [error]
    while waiting and len(seen) < _DEEPEST:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        kept = dict(getattr(one, "__dict__", {}))  # also the notes
        if isinstance(one, OSError):
            kept |= {name: getattr(one, name) for name in ("filename", "filename2", "strerror")}
        for name, value in kept.items():
            cleaned = _cleaned(value)
            if cleaned != value:
                setattr(one, name, cleaned)
        arguments = _cleaned(one.args)
        if arguments != one.args:
            one.args = arguments


def _cleaned(value: Any) -> Any:
    """Return texts, and what holds them, without their secrets; all else as it is."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, bytes):
        text = value.decode("latin-1")
        return without_secrets(text).encode("latin-1")
    if type(value) in (list, tuple):
        return type(value)(map(_cleaned, value))
    if type(value) is dict:
        return {key: _cleaned(each) for key, each in value.items()}
    return value


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


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
