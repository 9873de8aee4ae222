"""How ids, codes and rows travel as text, the same for server, client and page."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.codes import code_width
from h2q.collections.base import Id
from h2q.errors import InvalidInputError

#: Types of arrays that travel, little-endian.
_DTYPES: Final = {
    "bool": "?",
    "uint8": "u1",
    **{f"int{8 * size}": f"<i{size}" for size in (1, 2, 4, 8)},
    **{f"uint{8 * size}": f"<u{size}" for size in (2, 4, 8)},
    **{f"float{8 * size}": f"<f{size}" for size in (2, 4, 8)},
}
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,18})")


def key_of(item_id: Id) -> str:
    """Return an id as a text that keeps 7 and "7" apart and survives JavaScript's numbers.

    Examples
    --------
    >>> key_of(7), key_of("7")
    ('i:7', 's:7')
    """
    return f"i:{item_id}" if isinstance(item_id, int) else f"s:{item_id}"


def id_of(key: str) -> Id:
    """Return the id of a key.

    Raises
    ------
    InvalidInputError
        If it is none.
    """
    kind, sign, rest = key.partition(":")
    if sign and kind == "s":
        return rest
    if sign and kind == "i" and _NUMBER.fullmatch(rest):
        return int(rest)
    raise InvalidInputError(
        f"{key[:80]!r} is not the key of an item; write s:NAME for a text, i:7 for a number"
    )


def text_of_bytes(data: NDArray[np.uint8] | bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(bytes(data)).decode("ascii")


def bytes_of_text(text: str, name: str) -> bytes:
    """Return the bytes of base64.

    Raises
    ------
    InvalidInputError
        If it is none; the message calls it `name`.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(f"{name} is not base64: {error}") from None


def codes_of_text(text: str, n_bits: int, name: str = "codes") -> CodeArray:
    """Return packed codes, shape (n, ceil(n_bits / 8)), from the base64 of all their bytes.

    Raises
    ------
    InvalidInputError
        If they are no whole number of codes.
    """
    data = np.frombuffer(bytes_of_text(text, name), dtype=np.uint8)
    width = code_width(n_bits)
    if len(data) % width:
        raise InvalidInputError(
            f"{name} holds {len(data)} bytes, which is no whole number of codes of {width} bytes "
            f"({n_bits} bits)"
        )
    return data.reshape(-1, width)


def array_as_json(array: NDArray[Any]) -> dict[str, Any]:
    """Return an array as JSON can hold it: every bit of it, its shape and its type.

    Raises
    ------
    InvalidInputError
        If it is of a type that no collection takes.
    """
    name = array.dtype.name
    if name not in _DTYPES:  # float128, complex, text: what is refused by every collection
        raise InvalidInputError(
            f"an array of {name} cannot be sent to a server; give packed codes (uint8) or real "
            "rows (float32)"
        )
    data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"dtype": name, "shape": list(array.shape), "data": text_of_bytes(data.tobytes())}


def array_of_json(dtype: str, shape: Sequence[int], data: str, name: str) -> NDArray[Any]:
    """Return the array that `array_as_json` wrote.

    Raises
    ------
    InvalidInputError
        If the data are not those of such an array.
    """
    kind = np.dtype(_DTYPES[dtype])
    raw = bytes_of_text(data, name)
    if math.prod(shape) * kind.itemsize != len(raw):
        raise InvalidInputError(
            f"{name} holds {len(raw)} bytes, which is no array of {dtype} of shape {tuple(shape)}"
        )
    return np.frombuffer(raw, dtype=kind).astype(kind.newbyteorder("="), copy=False).reshape(shape)
