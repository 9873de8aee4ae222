"""Ids in an index that knows whole numbers only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.collections.base import Batch, Id
from h2q.errors import FormatError
from h2q.rowfiles.bits import to_msb
from h2q.rowfiles.matrix import Hints
from h2q.rowfiles.sidecar import Keep, Sidecar, read_items
from h2q.rowfiles.stream import CodeStream


def numbers_of(ids: list[Id], *, least: int) -> NDArray[np.int64]:
    """Return the ids if all are ints from `least` up, else the numbers of the items, 0, 1, ..."""
    if all(type(each) is int and each >= least for each in ids):
        return np.array(ids, dtype=np.int64)
    return np.arange(len(ids), dtype=np.int64)


def keep_all(everything: Batch, numbers: NDArray[np.int64], keep: Keep) -> None:
    """Write the ids and payloads beside the index, in the order of the numbers in it.

    An index can give its items back in another order; sorted by number they find each other.
    """
    order = np.argsort(numbers, kind="stable").tolist()
    keep(
        Batch(
            [everything.ids[row] for row in order],
            everything.codes[order],
            [everything.payloads[row] for row in order],
        )
    )


def numbered_stream(
    path: Path,
    numbers: NDArray[Any],
    codes: CodeArray,
    sidecar: Sidecar | None,
    hints: Hints,
    *,
    n_bits: int,
    bit_order: str,
) -> CodeStream:
    """Stream the items of an index; by the files beside it where they are, else by their numbers.

    Raises
    ------
    FormatError
        If they contradict each other.
    """
    if sidecar is not None:
        n_bits, bit_order = sidecar.n_bits, sidecar.bit_order
        if sidecar.count != len(codes):
            raise FormatError(
                f"{path}: {len(codes):,} codes, the file beside it says {sidecar.count:,}"
            )
    if hints.n_bits not in (None, n_bits):
        if sidecar is not None or -(-int(hints.n_bits or 0) // 8) != codes.shape[1]:
            raise FormatError(f"{path}: holds codes of {n_bits} bits, not {hints.n_bits}")
        n_bits = int(hints.n_bits or n_bits)
    order = np.argsort(numbers, kind="stable")
    packed = to_msb(codes[order], hints.bit_order or bit_order, n_bits, str(path))
    sorted_numbers = numbers[order]

    def batches(size: int) -> Iterator[Batch]:
        items = None if sidecar is None else read_items(path, size)
        for start in range(0, len(packed), size):
            part = packed[start : start + size]
            if items is None:
                ids: list[Id] = [int(number) for number in sorted_numbers[start : start + size]]
                yield Batch(ids, part, [None] * len(part))
                continue
            found = next(items, [])
            if len(found) != len(part):
                raise FormatError(f"{path}: fewer ids than codes beside it; copy the two together")
            yield Batch([each for each, _ in found], part, [payload for _, payload in found])

    return CodeStream(n_bits, len(packed), batches)
