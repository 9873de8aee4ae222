"""What all files of faiss share: how one is opened, and how its codes come back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from h2q.errors import FormatError
from h2q.rowfiles.code_file import numbered_file
from h2q.rowfiles.index_process import read_index
from h2q.rowfiles.rows import Hints, RowFile, reason_of, refuse_key
from h2q.rowfiles.sidecar import read_sidecar


def read_codes(
    path: Path, hints: Hints, kind: str, module: str, what: str, bit_order: str
) -> RowFile:
    """Read the codes and ids of an index, in a process of its own.

    Parameters
    ----------
    path : Path
    hints : Hints
    kind : str
        Of the file beside it.
    module : str
        The module here whose `contents` reads it.
    what : str
        What the file should be, for errors.
    bit_order : {"msb", "lsb"}
    """
    refuse_key(hints, str(path), "a faiss index")
    sidecar = read_sidecar(str(path), kind)
    numbers, codes, n_bits = read_index(path, module, what)
    return numbered_file(
        str(path), numbers, codes, sidecar, hints, n_bits=n_bits, bit_order=bit_order
    )


def opened(path: Path, reader: Callable[[str], Any], what: str) -> Any:
    """Open an index in this process, which a damaged one may end.

    No array that faiss reads may be far larger than its file, where this faiss can limit that.
    """
    import faiss

    limit = getattr(faiss, "set_deserialization_vector_byte_limit", None)
    if limit is not None:
        limit(4 * path.stat().st_size + (1 << 20))
    try:
        return reader(str(path))
    except RuntimeError as error:
        raise FormatError(f"{path}: not {what}, or a truncated one ({reason_of(error)})") from error
