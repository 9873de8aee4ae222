"""Files kept with a collection, in a companion collection: a row for each chunk.

In base64, for Milvus keeps no bytes but those of vectors, and these are 4 KiB at most.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from h2q.collections.artifacts import Source, fingerprint, opened
from h2q.collections.milvus.ready import make_ready
from h2q.collections.milvus.rows import LONGEST_TEXT
from h2q.collections.milvus.server import Server

#: Bytes a row: 60 KiB of base64.
_CHUNK_BYTES: Final = 45 << 10
#: Rows a request.
_AT_ONCE: Final = 64
_INDEX: Final = {"index_type": "BIN_FLAT", "metric_type": "HAMMING", "params": {}}


def store(server: Server, companion: str, sources: Mapping[str, Source]) -> dict[str, Any]:
    """Write artifacts to a new companion collection; return what is to be stated of them."""
    made, types = server.new_schema("files of a collection of h2q"), server.types
    made.add_field("id", types.VARCHAR, is_primary=True, max_length=64)
    made.add_field("data", types.VARCHAR, max_length=LONGEST_TEXT)
    # A server takes no collection without a vector; it is never searched.
    made.add_field("vector", types.BINARY_VECTOR, dim=8)
    server.call(
        "create_collection", companion, schema=made, num_shards=1, consistency_level="Strong"
    )
    stated = {}
    for name, source in sources.items():
        digest, size, rows = hashlib.sha256(), 0, []
        with opened(source) as file:
            while chunk := file.read(_CHUNK_BYTES):
                rows.append(
                    {
                        "id": _key(name, size // _CHUNK_BYTES),
                        "data": base64.b64encode(chunk).decode(),
                        "vector": b"\0",
                    }
                )
                digest.update(chunk)
                size += len(chunk)
                if len(rows) == _AT_ONCE:
                    server.call("upsert", companion, rows)
                    rows = []
        if rows:
            server.call("upsert", companion, rows)
        stated[name] = {
            "fingerprint": fingerprint(source),
            "sha256": digest.hexdigest(),
            "size": size,
        }
    return stated


def _key(name: str, position: int) -> str:
    return f"{name} {position:08d}"


def chunks(server: Server, companion: str, name: str, size: int) -> Iterator[bytes]:
    """Yield the content of an artifact of `size` bytes."""
    make_ready(server, companion, "vector", _INDEX)
    count = -(-size // _CHUNK_BYTES)
    for start in range(0, count, _AT_ONCE):
        keys = [_key(name, position) for position in range(start, min(start + _AT_ONCE, count))]
        listed = ", ".join(f'"{key}"' for key in keys)
        rows = server.call(
            "query",
            companion,
            filter=f"id in [{listed}]",
            output_fields=["id", "data"],
            consistency_level="Strong",
        )
        found = {row["id"]: row["data"] for row in rows}
        for key in keys:
            yield base64.b64decode(found.get(key, ""))
