"""Codes as a table: id, code, payload, and the payload's plain values as columns of their own.

Parquet and Arrow share the schema; its metadata state n_bits, bit order and the kind of ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from h2q._lazy import require
from h2q.codes import BIT_ORDER, code_width
from h2q.collections.base import Batch, Id
from h2q.errors import FormatError
from h2q.rowfiles.bits import to_msb
from h2q.rowfiles.matrix import Hints
from h2q.rowfiles.stream import (
    CodeStream,
    IdKind,
    id_kind,
    ids_as_column,
    ids_from_column,
    row_names,
)

_FORMAT, _VERSION = b"h2q-codes-table", b"1"
_OWN: Final = ("id", "code", "payload")
_PLAIN: Final[tuple[type, ...]] = (bool, int, float, str)
_MOST_COLUMNS: Final = 200
_INT64: Final = range(-(2**63), 2**63)


def schema_for(stream: CodeStream) -> Any:
    """Go through the items once to see what columns they need; return a `pyarrow.Schema`."""
    pa = require("pyarrow", "interchange")
    kind: IdKind | None = None
    plain: dict[str, type | None] = {}
    for batch in stream.batches():
        kind = id_kind(batch.ids, kind)
        for payload in batch.payloads:
            for key, value in (payload or {}).items():
                if value is not None:
                    found = _plain_type(value)
                    plain[key] = found if plain.get(key, found) is found else None
    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    columns = [(key, types[t]) for key, t in plain.items() if t and key not in _OWN]
    kind = kind or "str"
    return pa.schema(
        [
            ("id", pa.int64() if kind == "int" else pa.string()),
            ("code", pa.binary(code_width(stream.n_bits))),
            ("payload", pa.string()),
            *columns[:_MOST_COLUMNS],
        ],
        metadata={
            b"h2q.format": _FORMAT,
            b"h2q.format_version": _VERSION,
            b"h2q.n_bits": str(stream.n_bits).encode(),
            b"h2q.bit_order": BIT_ORDER.encode(),
            b"h2q.id_kind": kind.encode(),
        },
    )


def _plain_type(value: Any) -> type | None:
    kind = type(value)
    if kind not in _PLAIN or (kind is int and value not in _INT64):
        return None
    return kind


def record_batch(batch: Batch, schema: Any) -> Any:
    """Return a batch as a `pyarrow.RecordBatch` of the schema."""
    pa = require("pyarrow", "interchange")
    kind: IdKind = schema.metadata[b"h2q.id_kind"].decode()
    width = schema.field("code").type.byte_width
    data = pa.py_buffer(np.ascontiguousarray(batch.codes).tobytes())
    columns = [
        pa.array(ids_as_column(batch.ids, kind), schema.field("id").type),
        pa.Array.from_buffers(pa.binary(width), len(batch.ids), [None, data]),
        pa.array([None if p is None else _json(p) for p in batch.payloads], pa.string()),
    ]
    for field in list(schema)[len(_OWN) :]:
        wanted = {"bool": bool, "int64": int, "double": float, "string": str}[str(field.type)]
        values = [(payload or {}).get(field.name) for payload in batch.payloads]
        # A value of another type came while exporting; the payload still has it.
        kept = [v if type(v) is wanted and _plain_type(v) else None for v in values]
        columns.append(pa.array(kept, field.type))
    return pa.record_batch(columns, schema=schema)


def _json(payload: Mapping[str, Any]) -> str:
    return json.dumps(payload, ensure_ascii=False)


class TableReader:
    """Turns record batches of one schema into batches of ours.

    Parameters
    ----------
    schema : pyarrow.Schema
    name : str
        The file, for errors.
    hints : Hints

    Raises
    ------
    FormatError
        If there is no column of codes, or nobody states n_bits.
    """

    def __init__(self, schema: Any, name: str, hints: Hints) -> None:
        self.name = name
        facts = {key: value.decode() for key, value in (schema.metadata or {}).items()}
        own = facts.get(b"h2q.format") == _FORMAT.decode()
        if own and facts.get(b"h2q.format_version") != _VERSION.decode():
            raise FormatError(
                f"{name}: format version {facts.get(b'h2q.format_version')}, this h2q reads "
                f"{_VERSION.decode()}; upgrade h2q"
            )
        if "code" not in schema.names:
            raise FormatError(
                f"{name}: has no column 'code' (it has {', '.join(schema.names) or 'none'}); "
                "rename the one with the packed codes"
            )
        self._own = own
        self._has_id = "id" in schema.names
        stated = facts.get(b"h2q.n_bits") if own else None
        if stated is None and hints.n_bits is None:
            raise FormatError(
                f"{name}: the file does not say how many bits its codes have; give n_bits (--bits)"
            )
        if stated is not None and hints.n_bits not in (None, int(stated)):
            raise FormatError(f"{name}: holds codes of {stated} bits, not {hints.n_bits}")
        self.n_bits = int(stated if stated is not None else hints.n_bits or 0)
        self._bit_order = facts.get(b"h2q.bit_order") if own else hints.bit_order
        self._id_kind: IdKind = facts.get(b"h2q.id_kind", "str") if own else "str"
        if not own and self._has_id and str(schema.field("id").type).startswith(("int", "uint")):
            self._id_kind = "int"

    def batch(self, records: Any, start: int) -> Batch:
        """Read one record batch, which begins at row `start` of the file."""
        n, width = records.num_rows, code_width(self.n_bits)
        cells = records.column("code").to_pylist()
        # Binary of fixed or free width, or lists of numbers below 256 (Milvus writes those).
        try:
            data = b"".join(bytes(cell) for cell in cells)
        except (TypeError, ValueError) as error:
            raise FormatError(f"{self.name}: a code is not bytes ({error})") from error
        if len(data) != n * width or any(len(cell) != width for cell in cells):
            raise FormatError(f"{self.name}: codes of {self.n_bits} bits are {width} bytes wide")
        codes = np.frombuffer(data, dtype=np.uint8).reshape(n, width)
        ids: list[Id] = row_names(start, start + n)
        if self._has_id:
            ids = ids_from_column(records.column("id").to_pylist(), self._id_kind, self.name)
        return Batch(
            ids,
            to_msb(codes, self._bit_order or "msb", self.n_bits, self.name),
            list(self._payloads(records, n)),
        )

    def _payloads(self, records: Any, n: int) -> Iterator[dict[str, Any] | None]:
        if self._own:
            for text in records.column("payload").to_pylist():
                yield None if text is None else json.loads(text)
            return
        names = [name for name in records.schema.names if name not in ("id", "code")]
        columns = [records.column(name).to_pylist() for name in names]
        for row in range(n):
            values = {k: c[row] for k, c in zip(names, columns, strict=True) if c[row] is not None}
            yield values or None
