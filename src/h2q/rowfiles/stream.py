"""Codes on their way from one place to another, in batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from h2q._typing import Array
from h2q.codes import check_codes, code_width
from h2q.collections.base import Batch, Collection, Id, Where
from h2q.errors import FormatError, InvalidInputError

BATCH: Final = 50_000

#: How ids are written where a column has one type: as they are, or, mixed, each as JSON.
IdKind: TypeAlias = Literal["int", "str", "json"]


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


def row_names(start: int, end: int) -> list[Id]:
    """Ids of items that have none, as everywhere in h2q: "0", "1", ..."""
    return [str(row) for row in range(start, end)]


def id_kind(ids: Sequence[Id], so_far: IdKind | None = None) -> IdKind | None:
    """Tell whether ids, with those seen before, are all int, all str, or mixed."""
    kinds = {type(each) for each in ids}
    here: IdKind | None = None
    if kinds:
        here = "json" if len(kinds) > 1 else "int" if kinds == {int} else "str"
    if so_far is None or here is None:
        return here or so_far
    return here if here == so_far else "json"


def ids_as_column(ids: Sequence[Id], kind: IdKind) -> list[Any]:
    """Return ids as a column of one type takes them."""
    if kind == "json":
        return [json.dumps(each, ensure_ascii=False) for each in ids]
    wanted = int if kind == "int" else str
    if any(type(each) is not wanted for each in ids):
        raise InvalidInputError(
            "the collection changed while it was exported (ids of another type came); run again"
        )
    return list(ids)


def ids_from_column(values: Sequence[Any], kind: IdKind, name: str) -> list[Id]:
    """Return ids as they were before `ids_as_column`."""
    try:
        if kind == "json":
            found = [json.loads(value) for value in values]
        else:
            found = [int(v) if kind == "int" else str(v) for v in values]
    except (TypeError, ValueError) as error:
        raise FormatError(f"{name}: an id cannot be read ({error})") from error
    if any(type(each) not in (int, str) for each in found):
        raise FormatError(f"{name}: an id is neither a number nor text")
    return found
