"""Codes on their way from one place to another, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from h2q._typing import Array
from h2q.codes import check_codes, code_width
from h2q.collections.base import Batch, Collection, Id, Where
from h2q.errors import InvalidInputError
from h2q.rowfiles.ids import row_names
from h2q.rowfiles.rows import RowFile

BATCH: Final = 50_000


@dataclass(frozen=True)
class CodeStream:
    """Ids, codes and payloads that can be gone through, more than once.

    Attributes
    ----------
    n_bits : int
        Length of the codes. They are MSB first here, whatever the file they came from says.
    count : int
        Items; of a collection that is being written to, those it had at the start.
    open : callable
        ``open(size)`` iterates over batches of at most `size` items from the start.
    """

    n_bits: int
    count: int
    open: Callable[[int], Iterator[Batch]]

    def batches(self, size: int = BATCH) -> Iterator[Batch]:
        """Go through all items in batches."""
        return self.open(size)

    def gather(self) -> Batch:
        """Return all items at once, in memory."""
        ids: list[Id] = []
        payloads: list[dict[str, Any] | None] = []
        codes = [np.empty((0, code_width(self.n_bits)), dtype=np.uint8)]
        for batch in self.batches():
            ids.extend(batch.ids)
            payloads.extend(batch.payloads)
            codes.append(batch.codes)
        return Batch(ids, np.concatenate(codes), payloads)

    def with_progress(self, on_progress: Callable[[int, int], None]) -> CodeStream:
        """Return the same stream, which tells how many items of how many were given out."""

        def batches(size: int) -> Iterator[Batch]:
            done = 0
            for batch in self.open(size):
                yield batch
                done += len(batch.ids)
                on_progress(done, max(done, self.count))

        return CodeStream(self.n_bits, self.count, batches)


def stream_of_collection(collection: Collection, where: Where | None = None) -> CodeStream:
    """Stream the items of a collection, the oldest first, without holding them in memory."""
    return CodeStream(
        collection.n_bits, collection.count(where), lambda size: collection.iterate(size, where)
    )


def stream_of_file(file: RowFile) -> CodeStream:
    """Stream the codes of a file."""

    def batches(size: int) -> Iterator[Batch]:
        for start, stop in file.ranges(size):
            rows = file.read(start, stop)
            yield Batch(list(rows.ids or []), rows.values, rows.all_payloads())

    return CodeStream(file.n_bits or 0, file.count, batches)


def stream_of_codes(
    codes: Array,
    n_bits: int,
    ids: Sequence[Id] | None = None,
    payloads: Sequence[Mapping[str, Any] | None] | None = None,
) -> CodeStream:
    """Stream codes held in memory.

    Parameters
    ----------
    codes : array of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    ids : sequence of n str or int, optional
        By default "0", "1", ...
    payloads : sequence of n mappings or None, optional

    Raises
    ------
    InvalidInputError
        If they do not fit together.
    """
    packed = check_codes(codes, n_bits)
    for what, values in (("ids", ids), ("payloads", payloads)):
        if values is not None and len(values) != len(packed):
            raise InvalidInputError(f"{len(packed)} codes but {len(values)} {what}")

    def batches(size: int) -> Iterator[Batch]:
        for start in range(0, len(packed), size):
            end = min(start + size, len(packed))
            yield Batch(
                row_names(start, end) if ids is None else list(ids[start:end]),
                packed[start:end],
                [None] * (end - start)
                if payloads is None
                else [None if p is None else dict(p) for p in payloads[start:end]],
            )

    return CodeStream(n_bits, len(packed), batches)
