"""Parquet files of embeddings or codes: a row an item, with columns for rows, ids and labels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from h2q._lazy import require
from h2q.codes import BIT_ORDER
from h2q.errors import FormatError, InvalidInputError

_IDS: Final = ("id", "ids")
_LABELS: Final = ("label", "labels")
_BATCH: Final = 4096


def table_bytes(
    name: str, values: NDArray[Any], ids: Sequence[str] | Sequence[int],
    labels: Sequence[str] | None, n_bits: int | None,
) -> bytes:  # fmt: skip
    """Return a Parquet file with the columns ``id``, `name` and, where known, ``label``.

    Embeddings are lists of fixed length, codes are bytes of fixed length; the file's metadata
    states `n_bits` and the order of the bits.
    """
    pa, parquet = require("pyarrow", "bulk"), require("pyarrow.parquet", "bulk")
    flat = np.ascontiguousarray(values)
    n, width = flat.shape
    if n_bits is None:
        column = pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), width)
    else:
        column = pa.Array.from_buffers(pa.binary(width), n, [None, pa.py_buffer(flat.tobytes())])
    columns = {"id": pa.array(ids), name: column}
    if labels is not None:
        columns["label"] = pa.array(labels)
    table = pa.table(columns)
    facts = {"h2q": "1"}
    if n_bits is not None:
        facts |= {"n_bits": str(n_bits), "bit_order": BIT_ORDER}
    buffer = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata(facts), buffer)
    return buffer.getvalue()


def describe_table(
    file: BinaryIO, name: str, key: str | None, usual: Sequence[str]
) -> tuple[str, str, tuple[int, ...], np.dtype[Any], int | None]:
    """Return column, kind, shape, dtype and code length of a Parquet file."""
    pa = require("pyarrow", "bulk")
    parquet = _open(file, name)
    schema = parquet.schema_arrow
    n = parquet.metadata.num_rows
    facts = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
    if "n_bits" in facts and "code" in schema.names and key in (None, "code"):
        if facts.get("bit_order") != BIT_ORDER:
            raise FormatError(f"{name}: bit order {facts.get('bit_order')!r}, not {BIT_ORDER!r}")
        width = schema.field("code").type.byte_width
        return "code", "codes", (n, width), np.dtype(np.uint8), int(facts["n_bits"])
    real = [
        field.name for field in schema
        if _is_list(pa, field.type) and pa.types.is_floating(field.type.value_type)
    ]  # fmt: skip
    chosen = key or next((column for column in usual if column in real), None)
    if chosen is None and len(real) == 1:
        chosen = real[0]
    if chosen is None or chosen not in schema.names:
        raise InvalidInputError(
            f"{name}: name the column of embeddings with key (--key); it has "
            f"{', '.join(schema.names)}"
        )
    kind = schema.field(chosen).type
    if not _is_list(pa, kind):
        raise InvalidInputError(f"{name}: the column {chosen} holds {kind}, not lists of numbers")
    dtype = np.dtype(kind.value_type.to_pandas_dtype())
    if pa.types.is_fixed_size_list(kind):
        return chosen, "embeddings", (n, kind.list_size), dtype, None
    first = next(parquet.iter_batches(batch_size=1, columns=[chosen]), None)
    width = 0 if first is None else len(first.column(0)[0])
    return chosen, "embeddings", (n, width), dtype, None


def read_table(
    file: BinaryIO, name: str, column: str, start: int, stop: int
) -> tuple[NDArray[Any], list[Any] | None, NDArray[Any] | None]:
    """Read rows `start` to `stop`: values, ids and labels; row groups outside are passed over."""
    pa = require("pyarrow", "bulk")
    parquet = _open(file, name)
    id_column = next((c for c in _IDS if c in parquet.schema_arrow.names), None)
    label_column = next((c for c in _LABELS if c in parquet.schema_arrow.names), None)
    groups: list[int] = []
    first, seen = 0, 0
    for number in range(parquet.num_row_groups):
        size = parquet.metadata.row_group(number).num_rows
        if seen < stop and seen + size > start:
            if not groups:
                first = seen
            groups.append(number)
        seen += size
    columns = [c for c in (column, id_column, label_column) if c is not None]
    # In batches: a row group may be far larger than the rows asked for.
    tables, at = [], first
    for batch in parquet.iter_batches(batch_size=_BATCH, row_groups=groups, columns=columns):
        low, high = max(start - at, 0), min(stop - at, len(batch))
        if low < high:
            tables.append(batch.slice(low, high - low))
        at += len(batch)
        if at >= stop:
            break
    table = pa.Table.from_batches(tables, schema=pa.schema(
        [parquet.schema_arrow.field(c) for c in columns])).combine_chunks()  # fmt: skip
    values = _values(pa, table.column(column), name, column)
    ids = None if id_column is None else table.column(id_column).to_pylist()
    if label_column is None:
        return values, ids, None
    # Integers (n,), names (n,), or multi-hot lists (n, c).
    return values, ids, np.asarray(table.column(label_column).to_pylist())


def _values(pa: Any, column: Any, name: str, title: str) -> NDArray[Any]:
    chunk = column.chunk(0) if column.num_chunks else pa.array([], column.type)
    if column.null_count:
        raise InvalidInputError(f"{name}: {column.null_count} rows of {title} are empty (null)")
    if pa.types.is_fixed_size_binary(chunk.type):
        width = chunk.type.byte_width
        flat = np.frombuffer(chunk.buffers()[1], np.uint8)
        return flat[chunk.offset * width : (chunk.offset + len(chunk)) * width].reshape(-1, width)
    flat = chunk.flatten().to_numpy(zero_copy_only=False)
    if pa.types.is_fixed_size_list(chunk.type):
        return np.asarray(flat.reshape(-1, chunk.type.list_size))
    lengths = np.unique(chunk.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) > 1:
        raise InvalidInputError(f"{name}: the rows of {title} differ in length: {lengths.tolist()}")
    return np.asarray(flat.reshape(len(chunk), -1))


def _is_list(pa: Any, kind: Any) -> bool:
    types = pa.types
    return bool(types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind))


def _open(file: BinaryIO, name: str) -> Any:
    parquet = require("pyarrow.parquet", "bulk")
    pa = require("pyarrow", "bulk")
    try:
        return parquet.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise FormatError(f"{name}: not a Parquet file, or a damaged one ({error})") from error
