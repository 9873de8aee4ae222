"""Collections behind a server (`h2q serve`). httpx is imported when one is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2q._lazy import require
from h2q.collections.request import OpenRequest

if TYPE_CHECKING:
    from h2q.collections.http.collection import HttpCollection

__all__ = ["open_http"]


def open_http(uri: str, request: OpenRequest) -> HttpCollection:
    """Open the collection at an ``http://`` or ``https://`` address; see `h2q.open_collection`.

    Raises
    ------
    MissingExtraError
        If httpx is not installed: ``pip install 'h2q[http]'``.
    """
    require("httpx", "http")
    from h2q.collections.http.opening import open_checked

    return open_checked(uri, request)
