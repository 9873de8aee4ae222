"""Run the application: uvicorn, on one address, until it is told to stop."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import webbrowser

import uvicorn
from fastapi import FastAPI

from h2q.collections.base import Collection
from h2q.errors import CollectionError
from h2q.serving.app import create_app
from h2q.serving.protocol import Protocol
from h2q.serving.settings import Settings
from h2q.serving.telemetry import LOGGER, log_to_stderr

#: Seconds that requests under way have when the server is told to stop.
_GRACE = 30


def run(
    collection: Collection, settings: Settings, *, open_browser: bool = False, quiet: bool = False
) -> None:
    """Serve a collection until SIGINT or SIGTERM; then finish the requests under way.

    Parameters
    ----------
    collection : Collection
        Open; stays the caller's to close.
    settings : Settings
        Port 0 takes a free one; the log says which.
    open_browser : bool
        Show the page.
    quiet : bool
        Log warnings and errors alone.

    Raises
    ------
    CollectionError
        If the address is taken or not of this machine.
    """
    # A person reads one line, a program the log.
    watched = sys.stderr.isatty()
    log_to_stderr(quiet=quiet or watched)
    listener = _listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else shown}:{port}/"  # noqa: S104
    app = create_app(collection, settings)
    app.state.library.warm_up()
    server = uvicorn.Server(config_of(app))
    LOGGER.info("listening", extra={"facts": {"url": url}})
    if watched and not quiet:
        sys.stderr.write(f"{collection.uri} ({len(collection):,} items): {url}   Ctrl-C ends\n")
    if open_browser:
        threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn raises the signal again once all is finished
        pass
    finally:
        listener.close()
        LOGGER.info("stopped", extra={"facts": {"url": url}})


def config_of(app: FastAPI) -> uvicorn.Config:
    """Return how the server below is set up."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=_GRACE,
        timeout_keep_alive=30,
        http=Protocol,
        ws="none",
        lifespan="on",
    )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
        # Connections inherit it. Without it the end of an answer waits some 40 ms for the client
        # to confirm its beginning; asyncio, where there is no uvloop, sets it on sockets of a
        # stated protocol alone.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except (OSError, OverflowError) as error:
        raise CollectionError(
            f"cannot listen on {host} port {port}: {error}; choose another --port, or 0 for a free "
            "one"
        ) from error
    return listener


def terminate_as_interrupt() -> None:
    """Let SIGTERM end the process as SIGINT does, before the server has taken over."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
