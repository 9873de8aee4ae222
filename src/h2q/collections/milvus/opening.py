"""Open a collection on a Milvus server, or make one; refuse what does not fit it."""

from __future__ import annotations

from h2q.collections.milvus import schema
from h2q.collections.milvus.address import parse_address
from h2q.collections.milvus.collection import MilvusCollection
from h2q.collections.milvus.index import build_parameters
from h2q.collections.milvus.ready import make_ready
from h2q.collections.milvus.server import Server
from h2q.collections.request import OpenRequest
from h2q.errors import CollectionError


def open_milvus(uri: str, request: OpenRequest) -> MilvusCollection:
    """Open the collection at ``milvus://[user:password@]host:port/name``.

    See `h2q.open_collection`. The timeout is the time a request may take, its repetitions
    included; 30 seconds by default.
    """
    address = parse_address(uri)
    server = Server(address, request.timeout)
    try:
        meta = schema.read(server)
        if meta is None:
            index = request.new_index("milvus")
            schema.create(server, request.to_make(address), request, index)
            meta = schema.read(server)
            if meta is None:
                raise CollectionError(f"{address}: the collection was dropped while it was made")
        request.check_fit(address, n_bits=meta.n_bits, keep=meta.keep, artifacts=meta.kept)
        found = request.reopened_index(
            "milvus", address, meta.index_spec(address), search_options_are_kept=False
        )
        make_ready(server, address.name, "code", build_parameters(found.used))
    except BaseException:
        server.close()
        raise
    return MilvusCollection(server, meta, found.used, request)
