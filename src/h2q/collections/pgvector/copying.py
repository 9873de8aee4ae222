"""Items as the binary stream of `COPY`: the way PostgreSQL takes rows in fastest.

The format is that of the chapter "COPY, Binary Format" of PostgreSQL's manual: for each row the
number of its fields, and each field with its length before it; all numbers big-endian.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.pgvector.payloads import to_columns

_START: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_NULL: Final = b"\xff\xff\xff\xff"
_JSONB_VERSION: Final = b"\x01"
#: Rows written at a time.
_ROWS: Final = 2048
#: Of the table's columns, in this order.
COLUMNS: Final = ("row_number", "code", "id", "payload", "payload_text", "record")


def copy_stream(
    first_row: int,
    n_bits: int,
    ids: Sequence[bytes],
    codes: CodeArray,
    payloads: Sequence[str | None],
    records: NDArray[np.uint8] | None,
) -> Iterator[bytes]:
    """Yield the stream in pieces. `ids` are in UTF-8; row numbers ascend from `first_row`."""
    yield _START
    for start in range(0, len(ids), _ROWS):
        part = slice(start, start + _ROWS)
        heads = _heads(first_row + start, n_bits, codes[part])
        tails = _tails(records, part, len(heads))
        pieces: list[bytes] = []
        for head, item_id, payload, tail in zip(
            heads, ids[part], payloads[part], tails, strict=True
        ):
            pieces += (head, len(item_id).to_bytes(4, "big"), item_id)
            if payload is None:
                pieces += (_NULL, _NULL)
            else:
                json, text = to_columns(payload)
                pieces += ((len(json) + 1).to_bytes(4, "big"), _JSONB_VERSION, json)
                pieces += (_NULL,) if text is None else (len(text).to_bytes(4, "big"), text)
            pieces.append(tail)
        yield b"".join(pieces)
    yield _END


def _heads(first_row: int, n_bits: int, codes: CodeArray) -> list[bytes]:
    """Return the number of fields, the row number and the code of each row."""
    width = codes.shape[1]
    heads = np.empty(
        len(codes),
        dtype=[
            ("fields", ">i2"),
            ("row_length", ">i4"),
            ("row", ">i8"),
            ("code_length", ">i4"),
            ("n_bits", ">i4"),
            ("code", "u1", (width,)),
        ],
    )
    heads["fields"], heads["row_length"] = len(COLUMNS), 8
    heads["row"] = np.arange(first_row, first_row + len(codes))
    heads["code_length"], heads["n_bits"], heads["code"] = 4 + width, n_bits, codes
    return _each(heads.tobytes(), heads.itemsize)


def _tails(records: NDArray[np.uint8] | None, part: slice, n: int) -> list[bytes]:
    """Return the record of each row."""
    if records is None:
        return [_NULL] * n
    here = records[part]
    width = here.shape[1]
    tails = np.empty(n, dtype=[("length", ">i4"), ("record", "u1", (width,))])
    tails["length"], tails["record"] = width, here
    return _each(tails.tobytes(), tails.itemsize)


def _each(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]
