"""Parquet and Arrow (IPC) files of codes, written and read in batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from h2q._files import written_whole
from h2q._lazy import require
from h2q.collections.base import Batch
from h2q.errors import FormatError
from h2q.rowfiles.columns import TableReader, record_batch, schema_for
from h2q.rowfiles.matrix import Hints
from h2q.rowfiles.stream import CodeStream


def write_parquet(stream: CodeStream, path: Path) -> None:
    """Write a Parquet file, a row group a batch; the items are gone through twice."""
    pq = require("pyarrow.parquet", "interchange")
    schema = schema_for(stream)
    with written_whole(path) as file, pq.ParquetWriter(file, schema) as writer:
        for batch in stream.batches():
            writer.write_batch(record_batch(batch, schema))


def write_arrow(stream: CodeStream, path: Path) -> None:
    """Write an Arrow IPC file (Feather version 2); the items are gone through twice."""
    ipc = require("pyarrow.ipc", "interchange")
    schema = schema_for(stream)
    with written_whole(path) as file, ipc.new_file(file, schema) as writer:
        for batch in stream.batches():
            writer.write_batch(record_batch(batch, schema))


def read_parquet(path: Path, hints: Hints) -> CodeStream:
    """Read a Parquet file with a column `code`, and `id` and others where it has them."""
    pq = require("pyarrow.parquet", "interchange")
    with _faults(path, "Parquet"), pq.ParquetFile(path) as file:
        reader = TableReader(file.schema_arrow, str(path), hints)
        count = int(file.metadata.num_rows)

    def batches(size: int) -> Iterator[Batch]:
        start = 0
        with _faults(path, "Parquet"), pq.ParquetFile(path) as file:
            for records in file.iter_batches(size):
                yield reader.batch(records, start)
                start += records.num_rows

    return CodeStream(reader.n_bits, count, batches)


def read_arrow(path: Path, hints: Hints) -> CodeStream:
    """Read an Arrow IPC file with a column `code`, and `id` and others where it has them."""
    pa = require("pyarrow", "interchange")
    ipc = require("pyarrow.ipc", "interchange")
    with _faults(path, "Arrow"), pa.memory_map(str(path)) as source:
        file = ipc.open_file(source)
        reader = TableReader(file.schema, str(path), hints)
        count = sum(file.get_batch(i).num_rows for i in range(file.num_record_batches))

    def batches(size: int) -> Iterator[Batch]:
        start = 0
        with _faults(path, "Arrow"), pa.memory_map(str(path)) as source:
            file = ipc.open_file(source)
            for number in range(file.num_record_batches):
                whole = file.get_batch(number)
                for begin in range(0, whole.num_rows, size):
                    records = whole.slice(begin, size)
                    yield reader.batch(records, start)
                    start += records.num_rows

    return CodeStream(reader.n_bits, count, batches)


@contextmanager
def _faults(path: Path, what: str) -> Iterator[None]:
    pa: Any = require("pyarrow", "interchange")
    try:
        yield
    except FormatError:
        raise
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FormatError(f"{path}: not a file of {what}, or a damaged one ({error})") from error
