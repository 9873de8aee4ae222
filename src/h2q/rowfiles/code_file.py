"""Files of bare codes: what `.npy`, `.u8bin` and the indexes of faiss and usearch share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.collections.base import Batch, Id
from h2q.errors import FormatError
from h2q.rowfiles.bits import to_msb
from h2q.rowfiles.ids import read_ids
from h2q.rowfiles.rows import Hints, RowFile, Rows, check_stated
from h2q.rowfiles.sidecar import Items, Keep, Sidecar


def code_file(
    name: str,
    count: int,
    codes: Callable[[int, int], CodeArray],
    sidecar: Sidecar | None,
    hints: Hints,
    *,
    n_bits: int | None = None,
    bit_order: str | None = None,
    ids: NDArray[Any] | None = None,
) -> RowFile:
    """Open a file of bytes with the ids and payloads beside it.

    Parameters
    ----------
    name : str
    count : int
        Rows of the file.
    codes : callable
        ``codes(start, stop)`` reads some.
    sidecar : Sidecar or None
    hints : Hints
    n_bits, bit_order : optional
        What the file itself states; a length may be said to be shorter by filling bits.
    ids : ndarray of n, optional
        What the file itself has, where there is no sidecar.

    Raises
    ------
    FormatError
        If nobody states n_bits, or the file and those who do disagree.
    """
    if sidecar is not None:
        check_stated(name, hints, n_bits=sidecar.n_bits, bit_order=sidecar.bit_order)
        n_bits, order = sidecar.n_bits, sidecar.bit_order
        if sidecar.count != count:
            raise FormatError(f"{name}: {count:,} codes, the file beside it says {sidecar.count:,}")
    else:
        given = hints.n_bits
        if n_bits is None and given is None:
            raise FormatError(
                f"{name}: the file does not say how many bits its codes have; give n_bits (--bits)"
            )
        if n_bits is not None and given is not None and code_width(given) != code_width(n_bits):
            raise FormatError(f"{name}: holds codes of {n_bits} bits, not {given}")
        n_bits, order = given or n_bits or 0, hints.bit_order or bit_order or "msb"
    length, items = n_bits, None if sidecar is None or not sidecar.items else Items(name)

    def read(start: int, stop: int) -> Rows:
        values = to_msb(codes(start, stop), order, length, name)
        if items is not None:
            found = items.take(start, stop)
            if len(found) != len(values):
                raise FormatError(f"{name}: fewer ids than codes beside it; copy the two together")
            return Rows(values, [each for each, _ in found], [payload for _, payload in found])
        known = None if ids is None else read_ids(ids[start:stop], name, start=start)
        return Rows(values, known)

    return RowFile(name, "codes", count, code_width(n_bits), n_bits, read)


def numbered_file(
    name: str,
    numbers: NDArray[Any],
    codes: CodeArray,
    sidecar: Sidecar | None,
    hints: Hints,
    *,
    n_bits: int,
    bit_order: str,
) -> RowFile:
    """Open an index that knows its items by whole numbers; in the order of these."""
    order = np.argsort(numbers, kind="stable")
    ordered = codes[order]
    return code_file(
        name, len(codes), lambda start, stop: ordered[start:stop], sidecar, hints,
        n_bits=n_bits, bit_order=bit_order, ids=numbers[order],
    )  # fmt: skip


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
