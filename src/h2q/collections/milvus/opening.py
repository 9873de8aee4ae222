"""Open a collection on a Milvus server, or make one; refuse what does not fit it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from h2q._typing import StrPath
from h2q.collections.base import Decoder, IndexKind, Keep, Quantizer
from h2q.collections.milvus import schema
from h2q.collections.milvus.address import parse_address
from h2q.collections.milvus.collection import MilvusCollection
from h2q.collections.milvus.index import as_index, reopened
from h2q.collections.milvus.ready import make_ready
from h2q.collections.milvus.server import Server
from h2q.collections.wanted import as_wanted, check_fit
from h2q.errors import CollectionError, InvalidInputError


def open_milvus(
    uri: str,
    *,
    n_bits: int | None = None,
    quantizer: Quantizer | None = None,
    model: StrPath | bytes | None = None,
    decoder: Decoder | None = None,
    mode: Literal["a", "r"] = "a",
    keep: Keep | None = None,
    index: IndexKind | None = None,
    index_options: Mapping[str, int] | None = None,
    timeout: float | None = None,
) -> MilvusCollection:
    """Open the collection at ``milvus://[user:password@]host:port/name``.

    See `h2q.open_collection`. `index` is "flat" (exact), "ivf" (options `nlist`; `nprobe` of a
    search) or "hnsw" (`m`, `ef_construction`; `ef_search` of a search). `timeout` is the time a
    request may take, its repetitions included; 30 seconds by default.
    """
    if mode not in ("a", "r"):
        raise InvalidInputError(f"mode is 'a' (read and write) or 'r' (read), got {mode!r}")
    if timeout is not None and not timeout > 0:
        raise InvalidInputError(f"timeout must be a number of seconds above 0, got {timeout!r}")
    address = parse_address(uri)
    wanted = as_wanted(n_bits, quantizer, model, keep, decoder)
    server = Server(address, timeout)
    try:
        meta = schema.read(server)
        if meta is None:
            asked = as_index(index, index_options)
            if mode == "r":
                raise CollectionError(f"{address}: there is no such collection to read")
            if not wanted.n_bits:
                raise CollectionError(
                    f"{address}: there is no such collection; give n_bits, a quantizer or a "
                    "model to make one"
                )
            schema.create(server, wanted, asked)
            meta = schema.read(server)
            if meta is None:
                raise CollectionError(f"{address}: the collection was dropped while it was made")
        check_fit(
            address, wanted, n_bits=meta.n_bits, keep=meta.keep, fingerprints=meta.fingerprints
        )
        found = reopened(address, meta.index, index, index_options)
        make_ready(server, address.name, "code", found.build_parameters())
    except BaseException:
        server.close()
        raise
    return MilvusCollection(server, meta, found, mode)
