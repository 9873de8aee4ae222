"""usearch: an HNSW index of bits (`dtype="b1"`, Hamming), MSB first as ours."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from h2q._lazy import require
from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.errors import FormatError
from h2q.rowfiles.code_file import keep_all, numbered_file, numbers_of
from h2q.rowfiles.index_process import Index, read_index
from h2q.rowfiles.rows import Hints, RowFile, refuse_key
from h2q.rowfiles.sidecar import read_sidecar, written_with_items
from h2q.rowfiles.stream import CodeStream

_KIND: Final = "usearch"


def write(
    stream: CodeStream, path: Path, *, m: int | None = None, ef_construction: int | None = None
) -> None:
    """Build an index of all codes in memory and write it (`usearch.index.Index.restore`).

    Parameters
    ----------
    stream : CodeStream
    path : Path
    m, ef_construction : int, optional
        usearch's `connectivity` and `expansion_add`.
    """
    usearch = require("usearch.index", "interchange")
    everything = stream.gather()
    numbers = numbers_of(everything.ids, least=0)
    index = usearch.Index(
        ndim=stream.n_bits,
        metric="hamming",
        dtype="b1",
        connectivity=m,
        expansion_add=ef_construction,
    )
    if len(numbers):
        index.add(numbers.astype(np.uint64), everything.codes)
    with written_with_items(path, _KIND, stream.n_bits) as (file, keep):
        file.write(index.save())  # not by its own means: a full disk is our error, then
        keep_all(everything, numbers, keep)


def read(path: Path, hints: Hints) -> RowFile:
    """Open an index of bits with its keys; it states its n_bits itself."""
    require("usearch.index", "interchange")
    refuse_key(hints, str(path), "a usearch index")
    sidecar = read_sidecar(str(path), _KIND)
    keys, codes, n_bits = read_index(path, "usearch_index", "a usearch index")
    return numbered_file(str(path), keys, codes, sidecar, hints, n_bits=n_bits, bit_order="msb")


def contents(path: Path) -> Index:
    """Read an index in this process, which a damaged one may end."""
    usearch = require("usearch.index", "interchange")
    try:
        index = usearch.Index.restore(str(path))
    except (RuntimeError, ValueError) as error:
        raise FormatError(f"{path}: not a usearch index, or a truncated one ({error})") from error
    if index is None:
        raise FormatError(f"{path}: not a usearch index, or a truncated one")
    if index.dtype != usearch.ScalarKind.B1:
        raise FormatError(f"{path}: a usearch index of {index.dtype}; codes are in one of b1")
    keys = np.asarray(index.keys[:], dtype=np.uint64)
    codes: CodeArray = np.empty((0, code_width(index.ndim)), dtype=np.uint8)
    if len(keys):
        codes = np.ascontiguousarray(index.get(keys), dtype=np.uint8).reshape(len(keys), -1)
    return Index(keys, codes, int(index.ndim))
