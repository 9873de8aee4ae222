"""`h2q serve`: a collection as a page and an API."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from h2q.cli import _console


def serve(
    collection: Annotated[str, typer.Argument(help="The collection: a file or an address.")],
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; others than this machine need keys.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", "-p", min=0, max=65_535, help="0 takes a free port.")
    ] = 8000,
    open_page: Annotated[
        bool, typer.Option("--open", help="Show the page in the browser.")
    ] = False,
    bits: Annotated[
        int | None, typer.Option("--bits", min=1, help="Make the collection where it is absent.")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Nothing can be added or deleted.")
    ] = False,
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys",
            help='API keys as JSON: {"NAME": {"key": "...", "scopes": ["read", "write"]}}. Or set '
            "H2Q_API_KEY to one key that may do both.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="A further name under which the server is asked."),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option("--root", help="Show photos below this folder; by default, those indexed."),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate",
            min=0,
            help="Requests a second of one client; 0 does not limit, the default on this machine "
            "alone; 50 elsewhere.",
        ),
    ] = None,
    max_body: Annotated[
        int, typer.Option("--max-body", min=1, help="MiB of a request at most.")
    ] = 32,
) -> None:
    """[bold]Serve[/] a collection: a page to search, look around and review, and an API.

    It listens on this machine alone unless told otherwise. Ctrl-C ends it when the requests under
    way are answered.
    """
    from h2q._addresses import is_loopback
    from h2q._lazy import require

    require("fastapi", "serve")
    require("uvicorn", "serve")
    from h2q.collections import open_collection
    from h2q.serving.server import run, terminate_as_interrupt
    from h2q.serving.settings import ApiKey, Settings, read_keys, roots_of

    terminate_as_interrupt()
    known = read_keys(keys) if keys is not None else ()
    if os.environ.get("H2Q_API_KEY"):
        known = (*known, ApiKey.of("H2Q_API_KEY", os.environ["H2Q_API_KEY"]))
    settings = Settings(
        host=host,
        port=port,
        keys=known,
        hosts=tuple(allow_host or ()),
        roots=None if not root else roots_of(root),
        read_only=read_only,
        max_body=max_body << 20,
        rate=(0.0 if is_loopback(host) else 50.0) if rate is None else rate,
    )
    with open_collection(collection, n_bits=bits, mode="r" if read_only else "a") as served:
        run(served, settings, open_browser=open_page, quiet=_console.is_quiet())
