"""A collection a server can search: with its index, and in its memory."""

from __future__ import annotations

import time
from typing import Any, Final

from h2q.collections.milvus.server import Server
from h2q.errors import CollectionError

#: Seconds a server has at least to load a collection: it grows with the items.
_LOAD_TIMEOUT: Final = 60.0


def make_ready(server: Server, name: str, field_name: str, parameters: dict[str, Any]) -> None:
    """See that the collection has its index and is in the server's memory.

    Whoever made it may have been interrupted before that.
    """
    state = server.call("get_load_state", name)["state"]
    if str(getattr(state, "name", state)) == "Loaded":
        return
    if not server.call("list_indexes", name):
        index = server.new_index(field_name=field_name, **parameters)
        server.call("create_index", name, index, sync=False)
    server.call("load_collection", name, _async=True)
    deadline = time.monotonic() + max(server.timeout, _LOAD_TIMEOUT)
    while True:
        state = server.call("get_load_state", name)["state"]
        if str(getattr(state, "name", state)) == "Loaded":
            return
        if time.monotonic() > deadline:
            raise CollectionError(
                f"{server.address}: the server did not load the collection into its memory in "
                f"{max(server.timeout, _LOAD_TIMEOUT):g} s; look at its log, or give it more memory"
            )
        time.sleep(0.05)
