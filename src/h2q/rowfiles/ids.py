"""Ids as files and arrays of other programs have them, read in one place.

An id is text or a whole number, and stays what it is: `7` and `"7"` are two items. What is neither
(a gap, a date, a truth value, half a number) is never turned into text, but refused by its row.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from h2q.collections.base import Id
from h2q.errors import FormatError, InvalidInputError

#: How ids are written where a column has one type: as they are, or, mixed, each as JSON.
IdKind: TypeAlias = Literal["int", "str", "json"]
_INT64: Final = range(-(2**63), 2**63)
#: Whole numbers up to here are exact in float64, which a column of numbers with a gap becomes.
_EXACT: Final = 2**53


def read_ids(values: Any, name: str, *, start: int = 0) -> list[Id]:
    """Return the ids of a column.

    Parameters
    ----------
    values : array or sequence
        Text (or its UTF-8 bytes), whole numbers of any width, also as floats, and Python or numpy
        scalars of these.
    name : str
        The file, for errors.
    start : int
        Row of the first value, for errors.

    Raises
    ------
    InvalidInputError
        If there is one value too many dimensions, or a row has no id, or one that is no text and
        no whole number of 64 bits.
    """
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise InvalidInputError(f"{name}: ids of shape {values.shape}; give one a row")
    listed: list[Any] = values.tolist() if hasattr(values, "tolist") else list(values)
    if all(type(each) is str for each in listed):
        return listed
    plain = all(type(each) is int for each in listed)  # and not empty: that is above
    if plain and min(listed) in _INT64 and max(listed) in _INT64:
        return listed
    return [_one(each, f"{name}: row {start + row}") for row, each in enumerate(listed)]


def _one(value: Any, where: str) -> Id:
    given, value = value, value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise InvalidInputError(
                f"{where}: the id is bytes that are no text ({bytes(value)!r:.60}); write it as "
                "text, such as its hexadecimal digits"
            ) from None
    if value is None or value != value:
        raise InvalidInputError(
            f"{where} has no id ({given!r}); fill the gap, leave the row out, or give no ids at all"
        )
    if isinstance(value, int) and not isinstance(value, bool):
        if value in _INT64:
            return int(value)
        raise InvalidInputError(f"{where}: the id {value} does not fit 64 bits; write it as text")
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    raise InvalidInputError(
        f"{where}: the id {value!r} is a {type(value).__name__}; ids are text or whole numbers"
    )


def ids_as_array(ids: Sequence[Id]) -> NDArray[Any]:
    """Return ids as an array of int64 or of text.

    Raises
    ------
    InvalidInputError
        If they are of both kinds, which an array cannot hold.
    """
    kind = id_kind(ids)
    if kind == "json":
        raise InvalidInputError("an array holds ids that are all int or all str; write Parquet")
    return np.array(ids, dtype=np.int64) if kind == "int" else np.array(ids or [], dtype=np.str_)


def row_names(start: int, end: int, base: str | None = None) -> list[Id]:
    """Ids of rows that have none: "0", "1", ... everywhere in h2q; of one of many files "a:0"."""
    before = "" if base is None else f"{base}:"
    return [f"{before}{row}" for row in range(start, end)]


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


def ids_from_column(values: Any, kind: IdKind | None, name: str, *, start: int = 0) -> list[Id]:
    """Return ids as they were before `ids_as_column`; of a foreign column (None) as they are."""
    if kind is None:
        return read_ids(values, name, start=start)
    try:
        given = values.tolist() if hasattr(values, "tolist") else values
        read: Any = {"json": json.loads, "int": int, "str": str}[kind]
        return read_ids([read(value) for value in given], name, start=start)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{name}: an id cannot be read ({error})") from error
