"""HTTP as uvicorn speaks it, but for what it cannot read: that is answered like all else."""

from __future__ import annotations

import json
import secrets
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from h2q.serving.guard import SECURITY_HEADERS, problem

#: Bytes of the address and the headers of a request at most.
MOST_HEAD: Final = 64 * 1024


class Protocol(H11Protocol):
    """One connection."""

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, before any route or middleware sees it; then hang up."""
        request_id = secrets.token_hex(8)
        text = (
            "this is no request of HTTP/1.1, or its address and headers have more than "
            f"{MOST_HEAD:,} bytes"
        )
        body = json.dumps(problem("HttpError", text, request_id)).encode()
        headers = SECURITY_HEADERS | {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "connection": "close",
            "x-request-id": request_id,
        }
        for event in (
            h11.Response(status_code=400, headers=list(headers.items()), reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
