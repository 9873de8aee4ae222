"""Tools of the Model Context Protocol over a served collection: a thin client of its API.

``python -m h2q.serving.mcp http://127.0.0.1:8000/`` speaks over standard input and output (extra
``mcp``). Nothing is added, moved or deleted by a tool.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from h2q._lazy import require
from h2q.collections.http.address import parse_address
from h2q.collections.http.caller import Caller
from h2q.collections.http.wire import key_of
from h2q.errors import H2QError, InvalidInputError

P = ParamSpec("P")
R = TypeVar("R")

_MOST: Final = 50
_MOST_GROUPS: Final = 100


def make_server(address: str, *, timeout: float | None = None) -> Any:
    """Make the server of the tools.

    Parameters
    ----------
    address : str
        Of a server that `h2q serve` started, such as ``http://127.0.0.1:8000/``.
    timeout : float, optional
        Seconds to wait for an answer.

    Returns
    -------
    mcp.server.MCPServer
        With the tools `search_photos` and `find_duplicates`.
    """
    server: Any = require("mcp.server", "mcp").MCPServer("h2q")
    caller = Caller(parse_address(address), timeout)

    def search_photos(
        photo: str = "",
        item: str = "",
        text: str = "",
        k: int = 10,
        where: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Find photos like a file of this machine (photo), an item by its id, or words (text).

        Give exactly one of photo, item and text. `where` filters by payload, such as
        {"label": "cats"} or {"taken": {"$gte": "2024"}}.
        """
        given = [bool(photo), bool(item), bool(text)]
        if sum(given) != 1:
            raise InvalidInputError("give exactly one of photo, item and text")
        if photo:
            try:
                data = Path(photo).expanduser().read_bytes()
            except (OSError, ValueError) as error:
                raise InvalidInputError(f"the photo {photo} cannot be read: {error}") from error
            query = {"photo": caller.post_bytes("api/v1/queries", data)["token"]}
        else:
            query = {"key": key_of(item)} if item else {"text": text}
        body = {"queries": [query], "k": max(1, min(k, _MOST)), "where": where}
        found = caller.post("api/v1/search", body)
        return [
            {
                "id": each["id"],
                "distance": each["distance"],
                "score": each["score"],
                "payload": each["payload"],
            }
            for each in found["items"]
        ]

    def find_duplicates(level: str = "same") -> dict[str, Any]:
        """List groups of duplicates: level "same" (verified), "close" or "related" (likeness only).

        The first call starts the search and says how far it is; ask again until it is ready. No
        file is changed.
        """
        if level not in ("same", "close", "related"):
            raise InvalidInputError('level is "same", "close" or "related"')
        found = caller.get("api/v1/duplicates?limit=1000")
        if not found["ready"]:
            return {
                "ready": False,
                "stage": found["stage"],
                "done": found["done"],
                "of": found["of"],
            }
        groups = [
            {
                "keep": group["members"][0]["id"],
                "why": group["why"],
                "items": [{"id": m["id"], "change": m["change"]} for m in group["members"]],
            }
            for group in found["groups"]
            if group["level"] == level
        ]
        return {
            "ready": True,
            "total": found["counts"].get(level, 0),
            "groups": groups[:_MOST_GROUPS],
        }

    for tool in (search_photos, find_duplicates):
        server.tool()(_saying_why(tool))
    return server


def _saying_why(tool: Callable[P, R]) -> Callable[P, R]:
    """Let the caller see the message of our errors; of others the library says nothing."""
    refused: Any = require("mcp.server.mcpserver.exceptions", "mcp").ToolError

    @functools.wraps(tool)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return tool(*args, **kwargs)
        except H2QError as error:
            raise refused(str(error)) from error

    return call


def main() -> None:
    """Run over standard input and output."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m h2q.serving.mcp http://127.0.0.1:8000/")
    try:
        make_server(sys.argv[1]).run()
    except H2QError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
