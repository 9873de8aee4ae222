"""Codes that lie in a file as a matrix of bytes: what `.npy` and `.u8bin` share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from h2q._typing import CodeArray
from h2q.collections.base import Batch, Id
from h2q.errors import FormatError
from h2q.rowfiles.bits import to_msb
from h2q.rowfiles.sidecar import Sidecar, read_items
from h2q.rowfiles.stream import CodeStream, row_names


@dataclass(frozen=True)
class Hints:
    """What the caller says about a file that does not say it.

    Attributes
    ----------
    n_bits : int or None
    bit_order : {"msb", "lsb"} or None
    """

    n_bits: int | None = None
    bit_order: str | None = None


def matrix_stream(
    path: Path,
    count: int,
    rows: Callable[[int, int], CodeArray],
    sidecar: Sidecar | None,
    hints: Hints,
) -> CodeStream:
    """Stream rows of bytes with the ids beside them.

    Parameters
    ----------
    path : path
    count : int
        Rows of the file.
    rows : callable
        ``rows(start, end)`` reads some.
    sidecar : Sidecar or None
    hints : Hints

    Raises
    ------
    FormatError
        If nobody states n_bits, or the file and those who do disagree.
    """
    n_bits, bit_order = stated(path, sidecar, hints)
    if sidecar is not None and sidecar.count != count:
        raise FormatError(f"{path}: {count:,} codes, the file beside it says {sidecar.count:,}")

    def batches(size: int) -> Iterator[Batch]:
        items = read_items(path, size) if sidecar is not None and sidecar.items else None
        for start in range(0, count, size):
            end = min(start + size, count)
            codes = to_msb(rows(start, end), bit_order, n_bits, str(path))
            if items is None:
                yield Batch(row_names(start, end), codes, [None] * (end - start))
                continue
            found = next(items, [])
            if len(found) != end - start:
                raise FormatError(f"{path}: fewer ids than codes beside it; copy the two together")
            ids: list[Id] = [each for each, _ in found]
            yield Batch(ids, codes, [payload for _, payload in found])

    return CodeStream(n_bits, count, batches)


def stated(path: Path, sidecar: Sidecar | None, hints: Hints) -> tuple[int, str]:
    """Return n_bits and bit order, by the sidecar or else by the caller.

    Raises
    ------
    FormatError
        If nobody states n_bits, or they disagree.
    """
    if sidecar is not None:
        for what, said, given in (
            ("n_bits", sidecar.n_bits, hints.n_bits),
            ("bit order", sidecar.bit_order, hints.bit_order),
        ):
            if given is not None and given != said:
                raise FormatError(f"{path}: the file beside it says {what} {said}, not {given}")
        return sidecar.n_bits, sidecar.bit_order
    if hints.n_bits is None:
        raise FormatError(
            f"{path}: the file does not say how many bits its codes have; give n_bits (--bits)"
        )
    return hints.n_bits, hints.bit_order or "msb"
