"""HTTP as uvicorn speaks it, within bounds: of the size of a head, and of a client's patience.

What cannot be read, or comes too slowly, is answered like all else and hung up on.
"""

from __future__ import annotations

import asyncio
import http
import json
import secrets
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from h2q.serving.guard import SECURITY_HEADERS, problem

#: Bytes of the address and the headers of a request at most.
MOST_HEAD: Final = 64 * 1024
#: Seconds until the head of a request is there; so long may a new connection be silent, too.
HEAD_SECONDS: Final = 20.0
#: Seconds until a body is there, and the bytes a second that give it more of them.
BODY_SECONDS: Final = 30.0
BODY_RATE: Final = 1024
#: Seconds in which a client must have read some of a long answer.
READ_SECONDS: Final = 60.0
#: Bytes of chunks' sizes that a byte of a body may need.
_FRAMING: Final = 8


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._due: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._began = 0.0
        self._fed = self._got = 0
        self._new = False
        #: What of a request comes next: "" is between two.
        self._part = ""

    # Of the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request soon."""
        super().connection_made(transport)
        self._began = self.loop.time()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing more."""
        self._unwatch()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; what is longer than it may be, or unfinished, is noticed here."""
        self._fed += len(data)
        self._new = self._part == ""  # what begins now begins with these bytes
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._part == "" and self._is_answering:
            self._unwatch()
        elif self._fed > MOST_HEAD + _FRAMING * self._got:
            self.send_400_response("")
        elif self._due is None:
            if self._part == "":  # empty lines, which uvicorn takes for a sign of life
                self._began = self.loop.time()
            self._watch()

    # Of a request

    def on_message_begin(self) -> None:
        """Count from here."""
        super().on_message_begin()
        self._part, self._began, self._got = "head", self.loop.time(), 0
        if not self._new:
            self._fed = 0  # some of the last bytes were of the request before
        self._new = False

    def on_headers_complete(self) -> None:
        """Refuse a head that is too long, though it came in one piece."""
        if len(self.url) + sum(len(n) + len(v) for n, v in self.headers) > MOST_HEAD:
            raise ValueError("a head of too many bytes")  # answered as what cannot be read
        self._part = "body"
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count it, for its pace."""
        self._got += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect no more of it."""
        self._part, self._fed = "", 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Count the time of the next request from here: until now it could not be read."""
        self._began = self.loop.time()
        super().on_response_complete()

    # Of patience

    def _watch(self) -> None:
        self._due = self.loop.call_at(max(self._last, self.loop.time() + 0.05), self._overdue)

    def _unwatch(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _last(self) -> float:
        """Until when the part that comes next must be there."""
        if self._part == "body":
            # Of a body that nobody reads, for it is answered already, no pace is worth more time.
            more = 0 if self.cycle.response_complete else self._got / BODY_RATE
            return self._began + BODY_SECONDS + more
        return self._began + HEAD_SECONDS

    def _overdue(self) -> None:
        self._due = None
        if self.transport.is_closing():
            return
        if self.flow.read_paused or (self._part != "body" and self._is_answering):
            self._began = self.loop.time()  # it is this side that is slow
            self._watch()
        elif self._last > self.loop.time():
            self._watch()
        elif self._part == "" or (self._part == "body" and self.cycle.response_started):
            self.transport.close()  # it has said nothing, or has its answer already
        else:
            text = "the request came too slowly; send it again, in one go"
            self._hang_up(http.HTTPStatus.REQUEST_TIMEOUT, text)

    def pause_writing(self) -> None:
        """Give a client some time to read what is there."""
        super().pause_writing()
        self._unread = self.loop.call_later(READ_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Note that it has read."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    # Of answers without a route

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, before any route or middleware sees it; then hang up."""
        text = (
            "this is no request of HTTP/1.1, or its address and headers have more than "
            f"{MOST_HEAD:,} bytes"
        )
        self._hang_up(http.HTTPStatus.BAD_REQUEST, text)

    def _hang_up(self, status: http.HTTPStatus, text: str) -> None:
        request_id = secrets.token_hex(8)
        body = json.dumps(problem("HttpError", text, request_id)).encode()
        headers = SECURITY_HEADERS | {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "connection": "close",
            "x-request-id": request_id,
        }
        lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        self.transport.close()
