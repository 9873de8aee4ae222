"""Rows as a table: id, code or embedding, payload, and the payload's plain values as columns.

Parquet and Arrow share the schema; its metadata state what it holds, the length of codes, the order
of their bits and the kind of ids. Tables of others need a column `code`, or one of real lists.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._foreign import parse_json
from h2q._lazy import require
from h2q.codes import BIT_ORDER, code_width
from h2q.collections.base import Batch
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.bits import to_msb
from h2q.rowfiles.ids import IdKind, id_kind, ids_as_column, ids_from_column
from h2q.rowfiles.labels import labels_of_payloads, read_labels
from h2q.rowfiles.rows import USUAL_KEYS, Hints, Kind, Rows, check_stated

_FORMATS: Final[dict[Kind, str]] = {
    "codes": "h2q-codes-table", "embeddings": "h2q-embeddings-table",
}  # fmt: skip
_VERSION: Final = "1"
_OWN: Final = ("id", "code", "embedding", "payload")
_PLAIN: Final[tuple[type, ...]] = (bool, int, float, str)
_MOST_COLUMNS: Final = 200
_INT64: Final = range(-(2**63), 2**63)


def schema_for(batches: Iterable[Batch], n_bits: int | None, values: NDArray[Any]) -> Any:
    """Go through the items once to see what columns they need; return a `pyarrow.Schema`.

    Parameters
    ----------
    batches : iterable of Batch
        With codes, or embeddings in their place.
    n_bits : int or None
        Length of the codes; None for embeddings.
    values : ndarray
        Rows such as theirs: what tells the width and type of embeddings.
    """
    pa = require("pyarrow", "bulk")
    kind: IdKind | None = None
    plain: dict[str, type | None] = {}
    for batch in batches:
        kind = id_kind(batch.ids, kind)
        for payload in batch.payloads:
            for key, value in (payload or {}).items():
                if value is not None:
                    found = _plain_type(value)
                    plain[key] = found if plain.get(key, found) is found else None
    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    columns = [(key, types[t]) for key, t in plain.items() if t and key not in _OWN]
    kind = kind or "str"
    holds: Kind = "codes" if n_bits is not None else "embeddings"
    column = (
        ("code", pa.binary(code_width(n_bits)))
        if n_bits is not None
        else ("embedding", pa.list_(pa.from_numpy_dtype(values.dtype), values.shape[1]))
    )
    facts = {"format": _FORMATS[holds], "format_version": _VERSION, "id_kind": kind}
    if n_bits is not None:
        facts |= {"n_bits": str(n_bits), "bit_order": BIT_ORDER}
    return pa.schema(
        [
            ("id", pa.int64() if kind == "int" else pa.string()),
            column,
            ("payload", pa.string()),
            *columns[:_MOST_COLUMNS],
        ],
        metadata={f"h2q.{name}": value for name, value in facts.items()},
    )


def _plain_type(value: Any) -> type | None:
    kind = type(value)
    if kind not in _PLAIN or (kind is int and value not in _INT64):
        return None
    return kind


def record_batch(batch: Batch, schema: Any) -> Any:
    """Return a batch as a `pyarrow.RecordBatch` of the schema."""
    pa = require("pyarrow", "bulk")
    kind: IdKind = schema.metadata[b"h2q.id_kind"].decode()
    values, column = np.ascontiguousarray(batch.codes), schema.field(1)
    if column.name == "code":
        data = pa.py_buffer(values.tobytes())
        rows = pa.Array.from_buffers(column.type, len(batch.ids), [None, data])
    else:
        rows = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    columns = [
        pa.array(ids_as_column(batch.ids, kind), schema.field("id").type),
        rows,
        pa.array([None if p is None else _json(p) for p in batch.payloads], pa.string()),
    ]
    for field in list(schema)[len(columns) :]:
        wanted = {"bool": bool, "int64": int, "double": float, "string": str}[str(field.type)]
        values_of = [(payload or {}).get(field.name) for payload in batch.payloads]
        # A value of another type came while exporting; the payload still has it.
        kept = [v if type(v) is wanted and _plain_type(v) else None for v in values_of]
        columns.append(pa.array(kept, field.type))
    return pa.record_batch(columns, schema=schema)


def _json(payload: Mapping[str, Any]) -> str:
    return json.dumps(payload, ensure_ascii=False)


class TableReader:
    """Turns record batches of one schema into rows.

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
    InvalidInputError
        If it is not clear which column holds embeddings.
    """

    def __init__(self, schema: Any, name: str, hints: Hints) -> None:
        self.name, self._schema = name, schema
        facts = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
        self._own = facts.get("h2q.format") in _FORMATS.values()
        if self._own and facts.get("h2q.format_version") != _VERSION:
            raise FormatError(
                f"{name}: format version {facts.get('h2q.format_version')}, this h2q reads "
                f"{_VERSION}; upgrade h2q"
            )
        # Parts written before there was one schema state the same under shorter names.
        before = "h2q." if self._own else "" if facts.get("h2q") == "1" else "nothing."
        stated = facts.get(f"{before}n_bits")
        self.kind = self._kind_of(schema, stated, hints)
        self.n_bits, self._bit_order = None, "msb"
        if self.kind == "codes":
            self.column = "code"
            if hints.key not in (None, "code"):
                raise InvalidInputError(f"{name}: codes are read; leave the key out (--key)")
            if "code" not in schema.names:
                raise FormatError(
                    f"{name}: has no column 'code' (it has {', '.join(schema.names) or 'none'}); "
                    "rename the one with the packed codes"
                )
            self._check_code_type(schema.field("code").type)
            if stated is None and hints.n_bits is None:
                raise FormatError(
                    f"{name}: the file does not say how many bits its codes have; give n_bits "
                    "(--bits)"
                )
            if stated is not None:
                order = facts.get(f"{before}bit_order", "msb")
                check_stated(name, hints, n_bits=int(stated), bit_order=order)
                self._bit_order = order
            else:
                self._bit_order = hints.bit_order or "msb"
            self.n_bits = int(stated if stated is not None else hints.n_bits or 0)
            self.width = code_width(self.n_bits)
        else:
            self.column = hints.key or self._real_column(schema)
            if self.column not in schema.names:
                raise InvalidInputError(
                    f"{name}: has no column {self.column!r}; it has {', '.join(schema.names)}"
                )
            kind = schema.field(self.column).type
            if not _is_list(kind):
                raise InvalidInputError(
                    f"{name}: the column {self.column} holds {kind}, not lists of numbers"
                )
            types = require("pyarrow", "bulk").types
            if not types.is_floating(kind.value_type) and not types.is_integer(kind.value_type):
                raise InvalidInputError(
                    f"{name}: the column {self.column} holds {kind}, not lists of numbers"
                )
            self.dtype = str(kind.value_type)
            self.width = getattr(kind, "list_size", 0)  # of lists of any length, not known yet
        own_kind: Any = facts.get("h2q.id_kind") if self._own else None
        self._id_kind: IdKind | None = own_kind
        self._ids = next((c for c in ("id", "ids") if c in schema.names), None)
        self._labels = next((c for c in ("label", "labels") if c in schema.names), None)
        self._split = "split" if "split" in schema.names and self.kind == "embeddings" else None

    @property
    def has_split(self) -> bool:
        """Whether it says of each row to which split it belongs."""
        return self._split is not None

    @property
    def texts(self) -> list[str]:
        """Columns of texts or bytes that are read."""
        types = require("pyarrow", "bulk").types
        kinds = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
        return [
            name
            for name in self.columns
            if any(is_kind(self._schema.field(name).type) for is_kind in kinds)
        ]

    @property
    def columns(self) -> list[str]:
        """Columns that are read; of codes of others all, which become payloads."""
        if self.kind == "codes" and not self._own:
            return list(self._schema.names)
        beside = ["payload"] if self._own else [self._labels]
        wanted = [self._ids, self.column, self._split, *beside]
        return [name for name in wanted if name is not None]

    def _kind_of(self, schema: Any, stated: str | None, hints: Hints) -> Kind:
        if hints.kind is not None or hints.key is not None:
            return hints.kind or "embeddings"
        coded = "code" in schema.names and (stated is not None or hints.n_bits is not None)
        if coded or not any(_is_list(field.type) for field in schema):
            return "codes" if "code" in schema.names else "embeddings"
        return "embeddings"

    def _real_column(self, schema: Any) -> str:
        pa = require("pyarrow", "bulk")
        real = [
            field.name
            for field in schema
            if _is_list(field.type) and pa.types.is_floating(field.type.value_type)
        ]
        chosen = next((column for column in USUAL_KEYS if column in real), None)
        if chosen is not None:
            return chosen
        if len(real) == 1:
            return str(real[0])
        raise InvalidInputError(
            f"{self.name}: name the column of embeddings with key (--key); it has "
            f"{', '.join(schema.names)}"
        )

    def _check_code_type(self, kind: Any) -> None:
        types = require("pyarrow", "bulk").types
        is_bytes = (
            types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
        )
        # Milvus writes lists of numbers below 256.
        if not is_bytes and not (_is_list(kind) and types.is_integer(kind.value_type)):
            raise FormatError(
                f"{self.name}: the column 'code' holds {kind}, not the bytes of packed codes"
            )

    def rows(self, records: Any, start: int) -> Rows:
        """Read one record batch, which begins at row `start` of the file."""
        ids = labels = split = None
        if self._ids is not None:
            values = _listed(records.column(self._ids), self.name)
            ids = ids_from_column(values, self._id_kind, self.name, start=start)
        payloads = None
        if self._own:
            texts = _listed(records.column("payload"), self.name)
            payloads = [_payload(text, self.name) for text in texts]
            labels = None if self.kind == "codes" else labels_of_payloads(payloads)
        else:
            if self._labels is not None:
                found = records.column(self._labels)
                labels = read_labels(_label_values(found, self.name), self.name, start=start)
            if self.kind == "codes":
                payloads = list(self._payloads(records, start))
        if self._split is not None:
            payloads = payloads and [_without_split(payload) for payload in payloads]
            split = np.asarray(_listed(records.column("split"), self.name), dtype=np.str_)
        read = self._codes if self.kind == "codes" else self._embeddings
        return Rows(read(records.column(self.column), start), ids, payloads, labels, split)

    def _codes(self, column: Any, start: int) -> NDArray[Any]:
        cells = _listed(column, self.name)
        if None in cells:
            raise FormatError(f"{self.name}: row {start + cells.index(None)} has no code (null)")
        try:
            data = b"".join(bytes(cell) for cell in cells)
        except (TypeError, ValueError) as error:
            raise FormatError(f"{self.name}: a code is not bytes ({error})") from error
        if any(len(cell) != self.width for cell in cells):
            raise FormatError(
                f"{self.name}: codes of {self.n_bits} bits are {self.width} bytes wide"
            )
        codes = np.frombuffer(data, dtype=np.uint8).reshape(len(cells), self.width)
        return to_msb(codes, self._bit_order, self.n_bits or 0, self.name)

    def _embeddings(self, column: Any, start: int) -> NDArray[Any]:
        if column.null_count:
            raise InvalidInputError(
                f"{self.name}: {column.null_count} rows of {self.column} are empty (null), from "
                f"row {start} on; leave them out"
            )
        if not hasattr(column.type, "list_size"):
            lengths = np.unique(column.value_lengths().to_numpy(zero_copy_only=False))
            if len(lengths) > 1:
                raise InvalidInputError(
                    f"{self.name}: the rows of {self.column} differ in length: {lengths.tolist()}"
                )
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return np.asarray(flat).reshape(len(column), -1 if len(column) else self.width)

    def _payloads(self, records: Any, start: int) -> Iterator[dict[str, Any] | None]:
        apart = {self.column, self._ids, self._labels}
        names = [name for name in records.schema.names if name not in apart]
        columns = [_listed(records.column(name), self.name) for name in names]
        for row in range(records.num_rows):
            values = {
                name: _plain(column[row], f"{self.name}: row {start + row}: the column {name!r}")
                for name, column in zip(names, columns, strict=True)
            }
            yield {name: value for name, value in values.items() if value is not None} or None


def _is_list(kind: Any) -> bool:
    types = require("pyarrow", "bulk").types
    return bool(types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind))


def _listed(column: Any, name: str) -> list[Any]:
    """Return the values of a column; those of a dictionary are made once and shared.

    Raises
    ------
    InvalidInputError
        For types in which a few bytes stand for any number of values.
    """
    types = require("pyarrow", "bulk").types
    kind = column.type
    if types.is_dictionary(kind):
        values = _listed(column.dictionary, name)
        places = column.indices.to_pylist()
        return [None if place is None else values[place] for place in places]
    if not types.is_null(kind) and not _takes_bytes(kind):
        raise InvalidInputError(f"{name}: a column of {kind} is not read; cast it to a plain type")
    found: list[Any] = column.to_pylist()
    return found


def _takes_bytes(kind: Any) -> bool:
    """Whether each value of a type takes bytes of its own in the file."""
    types = require("pyarrow", "bulk").types
    if types.is_nested(kind):
        inner = [kind.field(i).type for i in range(kind.num_fields)]
        plain = _is_list(kind) or types.is_struct(kind) or types.is_map(kind)
        return plain and bool(inner) and all(_takes_bytes(each) for each in inner)
    several = (types.is_null, types.is_dictionary, types.is_run_end_encoded,
               types.is_string_view, types.is_binary_view)  # fmt: skip
    if types.is_fixed_size_binary(kind):
        return bool(kind.byte_width)
    return not any(is_kind(kind) for is_kind in several)


def _label_values(column: Any, name: str) -> Any:
    """Return lists of one length as a matrix, where the type says that they are one."""
    if hasattr(column.type, "list_size") and not column.null_count:
        return np.asarray(_listed(column, name))
    return _listed(column, name)


def _without_split(payload: dict[str, Any] | None) -> dict[str, Any] | None:
    return {key: value for key, value in (payload or {}).items() if key != "split"} or None


def _payload(text: str | None, name: str) -> dict[str, Any] | None:
    found = None if text is None else parse_json(text, name, "a table with payloads of JSON")
    if not isinstance(found, dict | None):
        raise FormatError(f"{name}: a payload is no object: {text!r:.80}")
    return found


def _plain(value: Any, where: str) -> Any:
    """Return a value of another program's table as JSON can hold it; a gap and NaN are nothing."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise InvalidInputError(f"{where} holds {value}, which a payload cannot; drop it")
        return None if math.isnan(value) else value
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(each, where) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each, where) for key, each in value.items()}
    raise InvalidInputError(
        f"{where} holds a {type(value).__name__}, which a payload cannot; drop it, or write it as "
        "text or as a number"
    )
