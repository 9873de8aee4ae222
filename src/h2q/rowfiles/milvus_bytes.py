"""Milvus: a code as the bytes of a BINARY_VECTOR, one `bytes` an item.

Milvus counts bits by 8 and compares by Hamming distance, which does not see their order; our bytes
go in as they are, MSB first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from h2q._typing import Array, CodeArray
from h2q.codes import check_codes, code_width
from h2q.errors import InvalidInputError
from h2q.rowfiles.bits import to_msb
from h2q.rowfiles.stream import CodeStream


def milvus_dim(n_bits: int) -> int:
    """Return the `dim` of a BINARY_VECTOR field for codes of `n_bits` bits: a multiple of 8."""
    return 8 * code_width(n_bits)


def binary_vectors(codes: Array, n_bits: int) -> list[bytes]:
    """Return codes as pymilvus takes them, for `insert`, `upsert` and as queries of `search`."""
    return [row.tobytes() for row in check_codes(codes, n_bits)]


def codes_from_binary_vectors(values: Sequence[Any], n_bits: int) -> CodeArray:
    """Return packed codes of binary vectors as pymilvus gives them.

    Parameters
    ----------
    values : sequence of bytes, or of lists of one bytes (`query` and `search` return those)
    n_bits : int
    """
    plain = [value[0] if isinstance(value, list | tuple) else value for value in values]
    width = code_width(n_bits)
    if any(not isinstance(v, bytes | bytearray) or len(v) != width for v in plain):
        raise InvalidInputError(f"a binary vector of {n_bits} bits is {width} bytes")
    codes = np.frombuffer(b"".join(plain), dtype=np.uint8).reshape(len(plain), width)
    return to_msb(codes, "msb", n_bits, "binary vectors")


def milvus_rows(
    stream: CodeStream, *, id_field: str = "id", code_field: str = "code", size: int = 10_000
) -> Iterator[list[dict[str, Any]]]:
    """Yield batches of rows for `MilvusClient.insert`; keys of payloads become dynamic fields.

    A primary key is all int or all str, so the ids must be.

    Raises
    ------
    InvalidInputError
        If ids are of both kinds, or a payload has a key that is a field already.
    """
    kinds: set[type] = set()
    for batch in stream.batches(size):
        kinds |= {type(each) for each in batch.ids}
        if len(kinds) > 1:
            raise InvalidInputError("ids are of both kinds; a Milvus primary key is int or str")
        rows = []
        vectors = binary_vectors(batch.codes, stream.n_bits)
        for item_id, vector, payload in zip(batch.ids, vectors, batch.payloads, strict=True):
            taken = {id_field, code_field} & (payload or {}).keys()
            if taken:
                raise InvalidInputError(
                    f"the payload of {item_id!r} has the key {taken.pop()!r}, which is a field; "
                    "name the fields otherwise (id_field, code_field)"
                )
            rows.append({id_field: item_id, code_field: vector, **(payload or {})})
        yield rows
