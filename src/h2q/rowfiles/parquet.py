"""Parquet and Arrow (IPC) files of codes or embeddings, written and read in batches."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from h2q._files import written_whole
from h2q._lazy import require
from h2q.collections.base import Batch
from h2q.errors import FormatError, InvalidInputError
from h2q.rowfiles.columns import TableReader, record_batch, schema_for
from h2q.rowfiles.rows import Hints, RowFile, Rows
from h2q.rowfiles.storage import is_url, open_file
from h2q.rowfiles.stream import CodeStream

#: Rows decoded at a time: a row group may be far larger than the rows asked for.
_BATCH: Final = 4096


def write_parquet(stream: CodeStream, path: Path) -> None:
    """Write a Parquet file, a row group a batch; the items are gone through twice."""
    pq = require("pyarrow.parquet", "interchange")
    schema = schema_for(stream.batches(), stream.n_bits, np.empty((0, 0)))
    with written_whole(path) as file, pq.ParquetWriter(file, schema) as writer:
        for batch in stream.batches():
            writer.write_batch(record_batch(batch, schema))


def write_arrow(stream: CodeStream, path: Path) -> None:
    """Write an Arrow IPC file (Feather version 2); the items are gone through twice."""
    ipc = require("pyarrow.ipc", "interchange")
    schema = schema_for(stream.batches(), stream.n_bits, np.empty((0, 0)))
    with written_whole(path) as file, ipc.new_file(file, schema) as writer:
        for batch in stream.batches():
            writer.write_batch(record_batch(batch, schema))


def parquet_bytes(rows: Rows, n_bits: int | None) -> bytes:
    """Return rows with ids, codes of `n_bits` or (None) embeddings, as a Parquet file."""
    pq = require("pyarrow.parquet", "bulk")
    batch = Batch(list(rows.ids or []), rows.values, rows.all_payloads())
    schema = schema_for([batch], n_bits, rows.values)
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema) as writer:
        writer.write_batch(record_batch(batch, schema))
    return buffer.getvalue()


def read_parquet(name: str, hints: Hints) -> RowFile:
    """Open a Parquet file; row groups outside a range are passed over."""
    pq = require("pyarrow.parquet", "bulk")

    @contextmanager
    def opened() -> Iterator[Any]:
        with _faults(name, "Parquet"), open_file(name) as raw, pq.ParquetFile(raw) as file:
            yield file

    with opened() as file:
        reader = TableReader(file.schema_arrow, name, hints)
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]

    def read(start: int, stop: int) -> Iterator[tuple[int, Any]]:
        ends = np.cumsum(sizes)
        groups = [i for i, end in enumerate(ends) if end > start and end - sizes[i] < stop]
        at = int(ends[groups[0]] - sizes[groups[0]]) if groups else 0
        with opened() as file:
            for batch in file.iter_batches(_BATCH, row_groups=groups, columns=reader.columns):
                yield at, batch
                at += len(batch)

    return _table_file(name, reader, sum(sizes), read)


def read_arrow(name: str, hints: Hints) -> RowFile:
    """Open an Arrow IPC file."""
    pa, ipc = require("pyarrow", "bulk"), require("pyarrow.ipc", "bulk")

    @contextmanager
    def opened() -> Iterator[Any]:
        with _faults(name, "Arrow"), ExitStack() as stack:
            source = open_file(name) if is_url(name) else pa.memory_map(name)
            yield ipc.open_file(stack.enter_context(source))

    with opened() as file:
        reader = TableReader(file.schema, name, hints)
        sizes = [file.get_batch(i).num_rows for i in range(file.num_record_batches)]

    def read(start: int, stop: int) -> Iterator[tuple[int, Any]]:
        at = 0
        with opened() as file:
            for number, size in enumerate(sizes):
                if at + size > start and at < stop:
                    yield at, file.get_batch(number).select(reader.columns)
                at += size

    return _table_file(name, reader, sum(sizes), read)


def _table_file(name: str, reader: TableReader, count: int, read: Any) -> RowFile:
    pa = require("pyarrow", "bulk")

    def rows(start: int, stop: int) -> Rows:
        parts = []
        for at, batch in read(start, stop):
            low, high = max(start - at, 0), min(stop - at, len(batch))
            if low < high:
                parts.append(batch.slice(low, high - low))
            if at + len(batch) >= stop:
                break
        if not parts:
            return Rows(np.empty((0, width), np.uint8 if reader.kind == "codes" else np.float32))
        whole = pa.Table.from_batches(parts).combine_chunks().to_batches()[0]
        found = reader.rows(whole, start)
        if found.values.shape[1] != width:
            raise InvalidInputError(
                f"{name}: row {start} has {found.values.shape[1]} columns, the first has {width}"
            )
        return found

    width = reader.width
    if reader.kind == "embeddings" and not width and count:
        first = next(iter(read(0, 1)))[1].column(reader.column)
        width = 0 if first[0].as_py() is None else len(first[0])
    opened = RowFile(name, reader.kind, count, width, reader.n_bits, rows, reader.column)
    if reader.kind == "codes":
        return opened
    return replace(opened, dtype=reader.dtype, has_split=reader.has_split)


@contextmanager
def _faults(name: str, what: str) -> Iterator[None]:
    pa: Any = require("pyarrow", "bulk")
    try:
        yield
    except (FormatError, InvalidInputError, FileNotFoundError):
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FormatError(f"{name}: not a {what} file, or a damaged one ({error})") from error
