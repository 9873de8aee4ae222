"""What every request passes before a route sees it, and every answer on its way out.

In this order: a request id; the host by which the server was asked (against DNS rebinding); the
origin of a request that changes something (against forgery from other pages); the rate; the key
and its scope; the size of the body. Every answer gets the security headers, every request one line
in the log and its place in the metrics.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import OrderedDict
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from h2q.serving.settings import ApiKey, Settings
from h2q.serving.telemetry import LOGGER, Metrics

#: The page sets this to the key, so that pictures can be asked for too.
COOKIE: Final = "h2q_key"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
SECURITY_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
#: Answered without a key: they tell nothing of the collection.
_OPEN: Final = re.compile(r"/(healthz|readyz|openapi\.json|favicon\.ico|page/[\w./-]*)?")
#: Requests that read, though they carry a body.
_READING: Final = re.compile(
    r"/api/v1/(search|queries|items/(get|at|count)|facets|batch|duplicates/plan|map(/mask)?|scan)"
)
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS: Final = _SAFE | {"POST", "PUT", "PATCH", "DELETE"}
#: What the log says of a request whose client went before it was all there.
_HUNG_UP: Final = 499
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class RefusedError(Exception):
    """A request is not let through."""

    def __init__(self, status: int, kind: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.headers = status, kind, message, headers

    def response(self, request_id: str) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(
            problem(self.kind, self.message, request_id), self.status, headers=self.headers
        )


def problem(kind: str, message: str, request_id: str) -> dict[str, object]:
    """Return the body of every answer that is an error."""
    # A lone surrogate, from a JSON escape, has no UTF-8.
    message = message.encode("utf-8", "backslashreplace").decode()
    return {"error": {"kind": kind, "message": message}, "request_id": request_id}


class Guard:
    """The middleware.

    Parameters
    ----------
    app : ASGI application
    settings : Settings
    metrics : Metrics
    """

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._rates = _Rates(settings.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _NAME.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 500
        started = False

        async def sending(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                out = MutableHeaders(scope=message)
                out["x-request-id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    out.setdefault(name, value)
                out.setdefault("cache-control", "no-store")
            await send(message)

        who, inner = "", scope
        self._metrics.in_flight.inc()
        try:
            try:
                who = self._check(scope, headers)
                bounded = _Bounded(receive, self._settings.max_body)
                if scope["method"] == "HEAD":  # answered as GET; the server sends no body of it
                    inner = {**scope, "method": "GET"}
                await self._app(inner, bounded, sending)
            except RefusedError as refused:
                if started:  # too late for another answer: the connection ends
                    raise
                await refused.response(request_id)(scope, receive, sending)
            except ClientDisconnect:
                status = _HUNG_UP
            except Exception:
                LOGGER.exception("a bug", extra={"facts": {"request_id": request_id}})
                if started:
                    raise
                answer = problem(
                    "Bug", "a bug in h2q; the log has it by the request id", request_id
                )
                await JSONResponse(answer, 500)(scope, receive, sending)
        finally:
            self._metrics.in_flight.dec()
            seconds = time.perf_counter() - began
            route = getattr(inner.get("route"), "path", "other")
            # One counter for all methods that nobody knows: each would be kept for ever.
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(route, method, str(status)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            LOGGER.info(
                "request",
                extra={
                    "facts": {
                        "request_id": request_id,
                        "method": scope["method"],
                        "path": scope["path"][:200],
                        "status": status,
                        "milliseconds": round(seconds * 1e3, 2),
                        "client": (scope.get("client") or ("", 0))[0],
                        "key": who,
                    }
                },
            )

    def _check(self, scope: Scope, headers: Headers) -> str:
        """Return the name of the key; raise `RefusedError`."""
        hosts = headers.getlist("host")
        if len(hosts) > 1:  # a proxy before may have looked at another one than this server
            raise RefusedError(400, "TwoHosts", "a request names one host")
        host = hosts[0] if hosts else ""
        if _without_port(host) not in self._settings.allowed_hosts:
            raise RefusedError(
                421,
                "WrongHost",
                "this server is not known by that host; start it with --allow-host",
            )
        method, path = scope["method"], scope["path"]
        if method not in _SAFE:
            origin = headers.get("origin")
            site = headers.get("sec-fetch-site", "none")
            if (origin is not None and origin.partition("://")[2] != host) or site not in (
                "none",
                "same-origin",
            ):
                raise RefusedError(
                    403, "WrongOrigin", "a page of another origin may not ask for this"
                )
        self._rates.take((scope.get("client") or ("", 0))[0])
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._settings.max_body:
            raise RefusedError(413, "TooLarge", _too_large(self._settings.max_body))
        writes = method not in _SAFE and not _READING.fullmatch(path)
        if writes and self._settings.read_only and path != "/api/v1/session":
            raise RefusedError(
                403, "ReadOnly", "this server only reads; start it without --read-only"
            )
        return self._key(headers, path, "write" if writes else "read")

    def _key(self, headers: Headers, path: str, scope: str) -> str:
        keys = self._settings.keys
        if not keys or _OPEN.fullmatch(path) or path == "/api/v1/session":
            return ""
        kind, _, shown = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not shown:
            shown = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        key = known_key(keys, shown.strip())
        if key is None:
            raise RefusedError(
                401,
                "NoKey",
                "show an API key: Authorization: Bearer KEY",
                **{"WWW-Authenticate": "Bearer"},
            )
        if scope not in key.scopes:
            raise RefusedError(403, "WrongScope", f"the key {key.name!r} has no scope {scope!r}")
        return key.name


def known_key(keys: tuple[ApiKey, ...], shown: str) -> ApiKey | None:
    """Return the key that was shown; all are compared, so that time tells nothing."""
    found = None
    for key in keys:
        if key.is_made_of(shown):
            found = key
    return found


class _Bounded:
    """Receives a body up to so many bytes, whatever its headers promised."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most, self._seen = receive, most, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self._most:
                raise RefusedError(413, "TooLarge", _too_large(self._most))
        return message


class _Rates:
    """A bucket of requests a client, refilled at a steady rate."""

    _MOST_CLIENTS: Final = 10_000

    def __init__(self, rate: float) -> None:
        self._rate, self._burst = rate, max(1.0, rate * 10)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, client: str) -> None:
        if self._rate <= 0:
            return
        now = time.monotonic()
        with self._lock:
            left, then = self._buckets.pop(client, (self._burst, now))
            left = min(self._burst, left + (now - then) * self._rate)
            self._buckets[client] = (max(0.0, left - 1), now)
            while len(self._buckets) > self._MOST_CLIENTS:
                self._buckets.popitem(last=False)
        if left < 1:
            wait = max(1, round((1 - left) / self._rate))
            raise RefusedError(429, "TooMany", "too many requests", **{"Retry-After": str(wait)})


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def _too_large(most: int) -> str:
    return f"a request may have {most:,} bytes; send less, or start the server with --max-body"
