"""Files of codes: `.npz` without pickle, that state their code length and bit order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from h2q._files import written_whole
from h2q._foreign import reading
from h2q._npz import read_npz
from h2q._paths import as_path
from h2q._typing import Array, CodeArray, StrPath
from h2q.codes.packing import BIT_ORDER, check_codes
from h2q.errors import FormatError, InvalidInputError

_FORMAT: Final = "h2q-codes"
_FORMAT_VERSION: Final = 1


@dataclass(frozen=True)
class CodeFile:
    """What a file of codes holds.

    Attributes
    ----------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    ids : list of int, list of str, or None
        The id of each row, where the file has them.
    """

    codes: CodeArray
    n_bits: int
    ids: list[int] | list[str] | None = None


def save_codes(
    path: StrPath, codes: Array, n_bits: int, ids: Sequence[int] | Sequence[str] | None = None
) -> Path:
    """Write codes to a `.npz` file, whole or not at all.

    The file states `format`, `format_version`, `n_bits` and `bit_order`, and needs no pickle.

    Parameters
    ----------
    path : str or path
        Where to write; nothing is appended to the name.
    codes : array of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    ids : sequence of n ids, all int or all str, optional

    Returns
    -------
    Path
        The path written.
    """
    target = as_path(path)
    with written_whole(target) as file:
        write_codes_file(file, codes, n_bits, ids)
    return target


def write_codes_file(
    file: BinaryIO,
    codes: Array,
    n_bits: int,
    ids: Sequence[int] | Sequence[str] | None = None,
) -> None:
    """Write the content of the file of `save_codes`."""
    arrays: dict[str, NDArray[Any]] = {
        "format": np.array(_FORMAT),
        "format_version": np.array(_FORMAT_VERSION),
        "n_bits": np.array(n_bits),
        "bit_order": np.array(BIT_ORDER),
        "codes": check_codes(codes, n_bits),
    }
    if ids is not None:
        arrays["ids"] = _id_array(ids, len(arrays["codes"]))
    np.savez(file, allow_pickle=False, **arrays)


def load_codes(path: StrPath) -> CodeFile:
    """Read a file written by `save_codes`.

    Raises
    ------
    FormatError
        If the file is truncated, is not a file of codes, or has a format version, a bit order or
        a content that cannot be read.
    """
    fields = read_npz(path, ("format", "format_version", "n_bits", "bit_order", "codes", "ids"))
    missing = {"format", "format_version", "n_bits", "bit_order", "codes"} - fields.keys()
    if missing or str(fields["format"]) != _FORMAT:
        lacks = f"; it lacks {', '.join(sorted(missing))}" if missing else ""
        raise FormatError(f"{path}: not a file of h2q codes{lacks}; write one with save_codes")
    for name in ("format_version", "n_bits"):
        if fields[name].size != 1 or fields[name].dtype.kind not in "iu":
            raise FormatError(f"{path}: the file contradicts itself ({name} is no whole number)")
    version, order = fields["format_version"].item(), str(fields["bit_order"])
    if version != _FORMAT_VERSION:
        raise FormatError(
            f"{path}: format version {version}, this h2q reads {_FORMAT_VERSION}; upgrade h2q"
        )
    if order != BIT_ORDER:
        raise FormatError(f"{path}: bit order {order!r}, h2q reads {BIT_ORDER!r} only")
    try:
        n_bits = int(fields["n_bits"].item())
        codes = check_codes(fields["codes"], n_bits)
    except ValueError as error:
        raise FormatError(f"{path}: the file contradicts itself ({error})") from error
    if "ids" not in fields:
        return CodeFile(codes, n_bits, None)
    array = fields["ids"]
    if array.shape != (len(codes),):
        raise FormatError(
            f"{path}: {len(codes)} codes but ids of shape {array.shape}; the file is damaged"
        )
    if array.dtype.kind not in "iuU" or (len(array) and array.dtype.itemsize == 0):
        raise FormatError(f"{path}: ids of {array.dtype}, neither whole numbers nor text")
    with reading(path, "a file of h2q codes"):  # text that is no Unicode
        return CodeFile(codes, n_bits, array.tolist())


def _id_array(ids: Sequence[int] | Sequence[str], n: int) -> NDArray[Any]:
    given = list(ids)
    if len(given) != n:
        raise InvalidInputError(f"{n} codes but {len(given)} ids; give one id a code")
    array = np.array(given, dtype=np.int64) if not given else np.array(given)
    if array.ndim != 1 or array.dtype.kind not in "iuU" or array.tolist() != given:
        raise InvalidInputError("the ids of a file of codes must be all int (64 bits) or all str")
    return array
