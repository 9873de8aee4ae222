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
from h2q._foreign import check_share, reading
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
        with (
            reading(name, "a Parquet file"),
            open_file(name) as raw,
            pq.ParquetFile(raw, read_dictionary=repeated, schema_depth_limit=64) as file,
        ):
            yield file

    repeated: list[str] = []
    with opened() as file:
        reader = TableReader(file.schema_arrow, name, hints)
        groups_of = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        sizes = [group.num_rows for group in groups_of]
        unpacked = sum(group.total_byte_size for group in groups_of)
    size = _size(name)
    if min(sizes, default=0) < 0:
        raise FormatError(f"{name}: damaged: a group of {min(sizes)} rows")
    check_share(name, size, unpacked, "write it without compression")
    # A text that many rows share is kept once, however long it is.
    repeated += reader.texts

    def read(start: int, stop: int) -> Iterator[tuple[int, Any]]:
        ends = np.cumsum(sizes)
        groups = [i for i, end in enumerate(ends) if end > start and end - sizes[i] < stop]
        at = int(ends[groups[0]] - sizes[groups[0]]) if groups else 0
        with opened() as file:
            for batch in file.iter_batches(_BATCH, row_groups=groups, columns=reader.columns):
                yield at, batch
                at += len(batch)

    return _table_file(name, reader, sum(sizes), read, size)


def read_arrow(name: str, hints: Hints) -> RowFile:
    """Open an Arrow IPC file."""
    pa, ipc = require("pyarrow", "bulk"), require("pyarrow.ipc", "bulk")

    @contextmanager
    def opened() -> Iterator[Any]:
        with reading(name, "an Arrow file"), ExitStack() as stack:
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
                    batch = file.get_batch(number).select(reader.columns)
                    batch.validate(full=True)  # its lengths and places are whatever the file says
                    yield at, batch
                at += size

    return _table_file(name, reader, sum(sizes), read, _size(name))


def _size(name: str) -> int:
    with open_file(name) as file:
        return file.seek(0, 2)


def _table_file(name: str, reader: TableReader, count: int, read: Any, size: int) -> RowFile:
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
        width = len(first[0]) if first[0].is_valid else 0
    # What it stands for, which a few bytes may repeat a billion times.
    claimed = count * width * (1 if reader.kind == "codes" else 4)
    check_share(name, size, max(claimed, count), "write its rows as they are, without dictionaries")
    opened = RowFile(name, reader.kind, count, width, reader.n_bits, rows, reader.column)
    if reader.kind == "codes":
        return opened
    return replace(opened, dtype=reader.dtype, has_split=reader.has_split)
