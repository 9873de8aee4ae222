"""A Milvus server as this project needs it: every call has a deadline, retries and plain errors."""

from __future__ import annotations

import logging
import random
import re
import time
from functools import cached_property
from typing import Any, Final

from h2q._lazy import require
from h2q.collections.milvus.address import MilvusAddress
from h2q.errors import CollectionError

#: Seconds a call may take, retries included, where the caller does not say.
DEFAULT_TIMEOUT: Final = 30.0
#: Seconds to wait for a server that does not answer at all.
_CONNECT_TIMEOUT: Final = 5.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
#: Milvus's numbers of errors that pass: not ready, unavailable, busy, loading, moving.
_PASSING_CODES: Final = frozenset({1, 2, 4, 8, 101, 103, 401, 500, 501, 502, 503, 901, 902})
#: The same in words, for those a server wraps in a general number.
_PASSING_WORDS: Final = re.compile(
    r"not ready|unavailable|not available|no available|not fully loaded|not loaded|offline"
    r"|node not (found|match)|channel not found|segment (lacks|not loaded)|connection refused"
    r"|rate limit|too many requests|transport|closing|stopped|context canceled|broken pipe",
    re.IGNORECASE,
)
_LOST: Final = ("UNAVAILABLE", "CANCELLED", "UNKNOWN", "ABORTED", "INTERNAL")
_TOO_LARGE: Final = re.compile(
    r"larger than max|exceed\w* (the )?(max|limit)|message too (large|long)|maxOutputSize",
    re.IGNORECASE,
)


class TooLargeError(CollectionError):
    """An answer or a request exceeds what the server sends or takes at once."""


class Server:
    """Connection to a server; `call` does one request, again while its error may pass.

    Parameters
    ----------
    address : MilvusAddress
    timeout : float, optional
        Seconds a request may take, all its tries together.
    """

    def __init__(self, address: MilvusAddress, timeout: float | None = None) -> None:
        self.address = address
        self.timeout = DEFAULT_TIMEOUT if timeout is None else float(timeout)
        self._pymilvus = require("pymilvus", "milvus")
        # It prints a traceback of every error it raises; ours say what is to be said.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        self._client: Any = self._connect()

    def _connect(self) -> Any:
        try:
            return self._pymilvus.MilvusClient(
                uri=self.address.server,
                user=self.address.user,
                password=self.address.secret(),
                db_name=self.address.database,
                timeout=min(self.timeout, _CONNECT_TIMEOUT),
            )
        except Exception as error:
            raise self._said(error) from error

    @property
    def types(self) -> Any:
        """`pymilvus.DataType`."""
        return self._pymilvus.DataType

    @cached_property
    def negates(self) -> bool:
        """Whether `not` in an expression makes every false true, also where a key is absent.

        Later versions answer "unknown" there; the one that was tested is 2.3.
        """
        return str(self.call("get_server_version")).lstrip("v").startswith("2.3")

    def new_schema(self, description: str) -> Any:
        """Make an empty schema to add fields to."""
        return self._pymilvus.MilvusClient.create_schema(
            auto_id=False, enable_dynamic_field=False, description=description
        )

    def new_index(self, **options: Any) -> Any:
        """Make index parameters for one field."""
        parameters = self._pymilvus.MilvusClient.prepare_index_params()
        parameters.add_index(**options)
        return parameters

    def call(self, method: str, /, *arguments: Any, **options: Any) -> Any:
        """Call a method of `pymilvus.MilvusClient`; safe to repeat, so repeated where that helps.

        Raises
        ------
        TooLargeError
            If the request or its answer is larger than the server allows.
        CollectionError
            If it failed for good, or did not succeed before the deadline.
        """
        deadline = time.monotonic() + self.timeout
        pause = _FIRST_PAUSE
        while True:
            if self._client is None:
                raise CollectionError(f"{self.address}: the collection is closed; open it again")
            try:
                left = max(deadline - time.monotonic(), 0.2)
                return getattr(self._client, method)(*arguments, timeout=left, **options)
            except Exception as error:
                if isinstance(error, KeyError | TypeError | AttributeError):
                    raise  # ours
                if not _passes(error) or time.monotonic() + pause > deadline:
                    raise self._said(error) from error
            time.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 (so that clients spread)
            pause = min(2 * pause, _LONGEST_PAUSE)

    @property
    def closed(self) -> bool:
        """Whether the connection was released."""
        return self._client is None

    def close(self) -> None:
        """Release the connection; closing twice is harmless."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _said(self, error: Exception) -> CollectionError:
        words, code = _words(error), _code(error)
        if isinstance(error.__cause__, Exception) and _code(error.__cause__) == "UNAUTHENTICATED":
            words, code = _words(error.__cause__), "UNAUTHENTICATED"  # of a first connection
        if "auth" in words.lower() or code in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
            return CollectionError(
                f"{self.address}: the server refused the user or the password ({words}); the "
                "address has the form milvus://user:password@host:port/name"
            )
        if _TOO_LARGE.search(words) or code == "RESOURCE_EXHAUSTED":
            return TooLargeError(f"{self.address}: too much for one request ({words})")
        if code == "DEADLINE_EXCEEDED" or code in _LOST or "Fail connecting" in words:
            return CollectionError(
                f"{self.address}: no answer from a Milvus server within {self.timeout:g} s "
                f"({words}); check the host, the port and that the server runs, then repeat the "
                "call"
            )
        return CollectionError(f"{self.address}: {words}")


def _words(error: Exception) -> str:
    """Say in one short line what an error of pymilvus or grpc says."""
    message = getattr(error, "message", None)
    if not message and callable(getattr(error, "details", None)):
        message = error.details()  # type: ignore[attr-defined] # of grpc.RpcError
    text = " ".join(str(message or error).split())
    return text if len(text) <= 300 else f"{text[:300]}..."


def _code(error: Exception) -> object:
    """Return the number of a Milvus error, or the name of grpc's."""
    code = getattr(error, "code", None)
    code = code() if callable(code) else code
    return getattr(code, "name", code)


def _passes(error: Exception) -> bool:
    code = _code(error)
    return code in _PASSING_CODES or code in _LOST or bool(_PASSING_WORDS.search(_words(error)))
