"""Asks a server and turns its answers, and its refusals, into what the library has."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import httpx

from h2q import errors
from h2q.collections.http.address import HttpAddress
from h2q.errors import CollectionError, H2QError, InvalidInputError

#: Seconds a server has to answer, and to be reached.
_ANSWER: Final = 300.0
_CONNECT: Final = 10.0
#: A server that asks for patience gets it so often, and so many seconds at most.
_TRIES: Final = 8
_LONGEST_PAUSE: Final = 30.0
_BYTES: Final = {"content-type": "application/octet-stream"}
_TOO_LARGE: Final = 413
_TOO_MANY: Final = 429


class TooLargeError(InvalidInputError):
    """The server takes less in one request, or answers less."""


class Caller:
    """A client of one server; its methods may be called from many threads.

    Parameters
    ----------
    address : HttpAddress
    timeout : float, optional
        Seconds to wait for an answer.
    """

    def __init__(self, address: HttpAddress, timeout: float | None) -> None:
        self._address = address
        headers = {"accept": "application/json"}
        key = address.secret()
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        self._client = httpx.Client(
            base_url=address.url,
            headers=headers,
            timeout=httpx.Timeout(
                _ANSWER if timeout is None else timeout,
                connect=_CONNECT if timeout is None else timeout,
            ),
            follow_redirects=False,  # another place would get the key
            # A proxy of the environment cannot reach this machine, and may not see what it is told.
            trust_env=not address.is_local,
            verify=address.url.startswith("https:"),  # certificates are slow to read
        )

    def get(self, path: str) -> Any:
        """Return the answer of a GET.

        Raises
        ------
        H2QError
            As the server says; `CollectionError` where it cannot be reached.
        """
        return self._json("GET", path, None)

    def get_bytes(self, path: str) -> bytes:
        """Return the bytes that are answered to a GET."""
        return self._ask("GET", path, None).content

    def post(self, path: str, body: dict[str, Any] | str) -> Any:
        """Return the answer of a POST of an object, or its JSON; the errors are those of `get`."""
        text = body if isinstance(body, str) else json.dumps(body)
        return self._json("POST", path, text.encode())

    def post_bytes(self, path: str, data: bytes) -> Any:
        """Return the answer of a POST of bytes, such as a photo's."""
        return self._parsed(self._ask("POST", path, data, _BYTES).content)

    def lines(self, path: str, body: dict[str, Any]) -> Iterator[Any]:
        """Yield each line of an answer in lines of JSON, as they come."""
        content = json.dumps(body).encode("ascii")
        for attempt in range(_TRIES):
            with (
                self._faults(),
                self._client.stream("POST", path, content=content, headers=_JSON) as response,
            ):
                if response.is_success:
                    for line in response.iter_lines():
                        yield self._parsed(line)
                    return
                response.read()
            self._pause_or_raise(response, attempt)

    @property
    def closed(self) -> bool:
        """Whether the connection was released."""
        return bool(self._client.is_closed)

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def _json(self, method: str, path: str, content: bytes | None) -> Any:
        return self._parsed(self._ask(method, path, content).content)

    def _ask(
        self,
        method: str,
        path: str,
        content: bytes | None,
        kind: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        headers = None if content is None else dict(kind or _JSON)
        for attempt in range(_TRIES):
            with self._faults():
                response = self._client.request(method, path, content=content, headers=headers)
            if response.is_success:
                return response
            self._pause_or_raise(response, attempt)
        raise AssertionError("the last try returns or raises")

    def _pause_or_raise(self, response: httpx.Response, attempt: int) -> None:
        """Wait where the server asks for it (nothing has been done then); raise any other error."""
        if response.status_code != _TOO_MANY or attempt == _TRIES - 1:
            raise self._error(response)
        wait = response.headers.get("retry-after", "1")
        time.sleep(min(_LONGEST_PAUSE, float(wait) if wait.isdecimal() else 1.0))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        if self._client.is_closed:
            raise CollectionError(f"{self._address.url}: the collection is closed; open it again")
        try:
            yield
        except httpx.TimeoutException:
            raise CollectionError(
                f"{self._address.url}: the server did not answer in time; ask for less at once, or "
                "give open_collection(..., timeout=SECONDS)"
            ) from None
        except httpx.ConnectError as error:
            raise CollectionError(
                f"{self._address.url}: no server answers there ({error}); start one with "
                "`h2q serve COLLECTION`"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise CollectionError(
                f"{self._address.url}: the connection to the server broke ({error}); look whether "
                "it still runs, then do it again"
            ) from None

    def _parsed(self, content: bytes | str) -> Any:
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise CollectionError(
                f"{self._address.url}: what answers there is no server of h2q"
            ) from None

    def _error(self, response: httpx.Response) -> H2QError:
        url, status = self._address.url, response.status_code
        try:
            problem = response.json()["error"]
            kind, message = str(problem["kind"]), str(problem["message"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return CollectionError(f"{url}: what answers there is no server of h2q (HTTP {status})")
        if status == _TOO_LARGE:
            return TooLargeError(message)
        found = getattr(errors, kind, None)
        if isinstance(found, type) and issubclass(found, H2QError):
            error: H2QError = found(message)
            return error
        return CollectionError(f"{url}: {message}")


_JSON: Final = {"content-type": "application/json"}
