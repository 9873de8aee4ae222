"""Items as rows of a Milvus collection, and back.

======== ================ =====================================================================
field    type             content
======== ================ =====================================================================
id       VARCHAR, key     "i" and the digits of an int; "s" and a str, percent-encoded
seq      INT64            number in the order of adding (`sequence.py`)
code     BINARY_VECTOR    the packed code as it is: bit 0 is the highest bit of byte 0
payload  JSON             the payload, `{}` where there is none
raw      VARCHAR          the payload's text where JSON of the server would not give it back as it
                          was: "null" for none, integers beyond 64 bits; "" elsewhere
record   VARCHAR          base64 of what is kept of the real row (`h2q.ranks.records`);
                          only where something is
======== ================ =====================================================================
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.inputs import Id
from h2q.errors import InvalidInputError

#: Longest VARCHAR and JSON a server takes, in bytes.
LONGEST_TEXT: Final = 65_535
#: Bytes of a row beside its texts, roughly.
_OVERHEAD: Final = 64
#: What a quoted text in a Milvus expression holds without any escape.
_PLAIN: Final = "".join(c for c in map(chr, range(32, 127)) if c not in "\"'\\%")
_LONG_NUMBER: Final = re.compile(r"\d{19}")


def key_of(item_id: Id) -> str:
    """Primary key of an id: `1` and `"1"` have different ones."""
    return f"i{item_id}" if isinstance(item_id, int) else f"s{quote(item_id, safe=_PLAIN)}"


def id_of(key: str) -> Id:
    """Return the id that has this primary key."""
    return int(key[1:]) if key[0] == "i" else unquote(key[1:])


def to_rows(
    ids: Sequence[Id],
    first: int,
    codes: CodeArray,
    payloads: Sequence[str | None],
    records: NDArray[np.uint8] | None,
) -> list[dict[str, Any]]:
    """Make the rows of items.

    Parameters
    ----------
    ids : sequence of n ids, all different
    first : int
        Number of the first in the order of adding.
    codes : ndarray of shape (n, width), uint8
    payloads : sequence of n JSON texts or None
    records : ndarray of shape (n, record width), uint8, or None

    Raises
    ------
    InvalidInputError
        If an id or a payload is longer than a server takes.
    """
    width, data = codes.shape[1], codes.tobytes()
    rows: list[dict[str, Any]] = [
        {
            "id": key_of(item_id),
            "seq": first + i,
            "code": data[i * width : (i + 1) * width],
            "payload": "{}" if text is None else text,
            "raw": "null" if text is None else text if _LONG_NUMBER.search(text) else "",
        }
        for i, (item_id, text) in enumerate(zip(ids, payloads, strict=True))
    ]
    if records is not None:
        for row, text in zip(rows, _texts(records), strict=True):
            row["record"] = text
    for row, item_id in zip(rows, ids, strict=True):
        _check_length(row["id"], f"the id {str(item_id)[:40]!r}...")
        _check_length(row["payload"], f"the payload of {item_id!r}")
    return rows


def _check_length(text: str, name: str) -> None:
    # A character has at most 4 bytes, so most are settled without encoding them.
    if 4 * len(text) > LONGEST_TEXT and len(text.encode()) > LONGEST_TEXT:
        raise InvalidInputError(
            f"{name} takes {len(text.encode())} bytes, a Milvus server keeps {LONGEST_TEXT}; "
            "make it shorter"
        )


def size_of(row: Mapping[str, Any]) -> int:
    """Bytes a row takes in a request, at most."""
    return (
        _OVERHEAD
        + len(row["id"])
        + len(row["code"])
        + 4 * (len(row["payload"]) + len(row["raw"]))
        + len(row.get("record", ""))
    )


def payload_of(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the payload of a row that has `payload` and `raw`."""
    payload: dict[str, Any] | None = json.loads(row["raw"]) if row["raw"] else row["payload"]
    return payload


def codes_of(rows: Sequence[Mapping[str, Any]], width: int) -> CodeArray:
    """Return the codes of rows, shape (n, width), uint8."""
    return np.frombuffer(b"".join(_bytes(row["code"]) for row in rows), dtype=np.uint8).reshape(
        -1, width
    )


def _bytes(value: Any) -> bytes:
    """Unwrap a binary vector: in a query's answer it is in a list, in a search's it is not."""
    found: bytes = value[0] if isinstance(value, list) else value
    return found


def _texts(records: NDArray[np.uint8]) -> list[str]:
    """Base64 of each record, all made at once."""
    padded = np.zeros((len(records), -(-records.shape[1] // 3) * 3), dtype=np.uint8)
    padded[:, : records.shape[1]] = records
    text, length = base64.b64encode(padded.tobytes()).decode(), padded.shape[1] // 3 * 4
    return [text[start : start + length] for start in range(0, len(text), length)]


def records_of(rows: Sequence[Mapping[str, Any]], width: int) -> NDArray[np.uint8]:
    """Return the records of rows, shape (n, width), uint8."""
    data = base64.b64decode("".join(row["record"] for row in rows))
    padded = np.frombuffer(data, dtype=np.uint8).reshape(len(rows), -1)
    return np.ascontiguousarray(padded[:, :width])


def record_text_length(width: int) -> int:
    """Characters the record of `width` bytes takes."""
    return -(-width // 3) * 4
