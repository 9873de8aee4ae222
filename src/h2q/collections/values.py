"""Foreign values made plain: numpy's and torch's scalars, arrays and data frames, and what is not.

A value that passes `isinstance` and then means something else (a `numpy.float64` is a `float`, an
`enum` may be a `str`) is turned into the plain Python value it equals, or refused; never into text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.errors import InvalidInputError

Scalar: TypeAlias = str | int | float | bool | None
_NOT_PLAIN: Final = object()
#: Types that need no second look.
_PLAIN: Final = frozenset({str, int, float, bool, type(None)})
#: Deeper payloads are refused: the engines' parsers of JSON go down some hundred levels.
DEEPEST: Final = 100


def plain_scalar(value: object) -> Any:
    """Return a scalar as a plain str, int, float, bool or None; `NOT_PLAIN` where it is none.

    Numbers of numpy and torch keep their value, also those wider than a float of Python.
    """
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.generic):
        return _numpy_scalar(value)
    if isinstance(value, bool | str | int | float):  # a subclass: an enum, say
        base = next(kind for kind in (bool, str, int, float) if isinstance(value, kind))
        return str.__str__(value) if isinstance(value, str) else base(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        if isinstance(value, np.ndarray):
            return _numpy_scalar(value[()])
        return plain_scalar(value.item())
    return _NOT_PLAIN


def is_plain(value: object) -> bool:
    """Whether `plain_scalar` found a scalar."""
    return value is not _NOT_PLAIN


def _numpy_scalar(value: Any) -> Any:
    kind = getattr(getattr(value, "dtype", None), "kind", "O")
    if kind == "b":
        return bool(value)
    if kind in "iu":
        return int(value)
    if kind == "U":
        return str.__str__(value)
    if kind == "f":
        number = float(value)
        return number if number == value or number != number else _NOT_PLAIN
    return _NOT_PLAIN  # dates, bytes, complex numbers, records, ...


def plain_json(value: object, depth: int = 0) -> Any:
    """Return a value as what JSON knows: plain scalars, lists and dicts with str as keys.

    Raises
    ------
    ValueError
        If it is something else, says the message; the caller names the item.
    """
    if type(value) in _PLAIN:
        return value
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} deep")
    scalar = plain_scalar(value)
    if scalar is not _NOT_PLAIN:
        return scalar
    if isinstance(value, Mapping):
        plain = {}
        for key, inner in value.items():
            name = plain_scalar(key)
            if not isinstance(name, str):
                raise ValueError(f"the key {key!r} is not a str")
            plain[name] = plain_json(inner, depth + 1)
        return plain
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [plain_json(each, depth + 1) for each in value]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufU" and not is_masked(value):
        return [plain_json(each, depth + 1) for each in value]
    if array_api_compat.is_torch_array(value):
        return plain_json(rows_of(value), depth)
    raise ValueError(f"Object of type {type(value).__name__} is not JSON serializable")


def plain_payload(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a payload as what JSON knows; itself, where it is that already (most are)."""
    for key, value in payload.items():
        if type(key) is not str or type(value) not in _PLAIN:
            plain: Mapping[str, Any] = plain_json(payload)
            return plain
    return payload if type(payload) is dict else dict(payload)


def listed(values: Any, what: str) -> list[Any]:
    """Return a column of values, of numpy, torch, pandas, polars, pyarrow or Python, as a list.

    Raises
    ------
    InvalidInputError
        If it is a single value, has several columns, or holds dates as numbers.
    """
    if isinstance(values, str | bytes | Mapping) or plain_scalar(values) is not _NOT_PLAIN:
        raise InvalidInputError(f"{what} must be a list, got the single {values!r}")
    if array_api_compat.is_torch_array(values):
        values = rows_of(values)
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise InvalidInputError(f"{what} must have one dimension, got shape {values.shape}")
        if values.dtype.kind in "mM":  # numpy lists some of them as bare integers
            raise InvalidInputError(
                f"{what} are dates ({values.dtype}); pass them as text, such as by .astype(str)"
            )
        if is_masked(values):
            raise InvalidInputError(f"{what} are masked; fill them, or leave those items out")
        return list(values.tolist())
    for name in ("to_list", "to_pylist", "tolist"):  # pandas and polars; pyarrow; others
        method = getattr(values, name, None)
        if callable(method):
            return list(method())
    if not isinstance(values, Iterable):
        raise InvalidInputError(f"{what} must be a list, got {type(values).__name__}")
    return list(values)


def rows_of(array: Array) -> NDArray[Any]:
    """Return an array, a list, a data frame or a column of rows as numpy, whatever its dtype.

    bfloat16 and the other small floats, which numpy has not, become float32. A mask is refused,
    in a list of rows too: numpy would drop it without a word.

    Raises
    ------
    InvalidInputError
        If some of it is masked, or a column holds rows that are missing or differ in length.
    """
    if array_api_compat.is_torch_array(array):
        array = array.detach()
        if getattr(array, "is_quantized", False) or str(array.layout) != "torch.strided":
            array = (
                array.dequantize() if getattr(array, "is_quantized", False) else array.to_dense()
            )
        if array.dtype.is_floating_point and array.dtype.itemsize < 4:
            array = array.float()
        return np.asarray(array.resolve_conj().resolve_neg().cpu())
    if array_api_compat.is_cupy_array(array):
        array = array.get()
    if is_masked(array) or (isinstance(array, list | tuple) and any(map(is_masked, array))):
        raise InvalidInputError("the array is masked; fill it, or leave those rows out")
    if not isinstance(array, np.ndarray) and callable(getattr(array, "to_numpy", None)):
        arrow = type(array).__module__.partition(".")[0] == "pyarrow"  # others copy unasked
        array = array.to_numpy(zero_copy_only=False) if arrow else array.to_numpy()
    try:
        given: NDArray[Any] = np.asarray(array)
    except ValueError as error:  # of lists that differ in length
        raise InvalidInputError(
            f"these rows are no array ({error}); give each item one row of as many numbers"
        ) from error
    if given.dtype.kind == "O" and given.shape[1:] in ((), (1,)):
        given = _stacked(given)
    if given.dtype.kind == "V" and "float" in given.dtype.name:  # of ml_dtypes: bfloat16, float8
        given = given.astype(np.float32)
    return given


def _stacked(column: NDArray[Any]) -> NDArray[Any]:
    """Make one array of a column whose values are rows; of another return it as it is."""
    rows = [np.asarray(each) for each in column.ravel()]
    lengths = {row.shape for row in rows}
    if not any(row.ndim for row in rows):
        return column
    if len(lengths) > 1:
        raise InvalidInputError(
            "the rows of the column differ in length, or some are missing; give each item one row "
            "of as many numbers"
        )
    return np.stack(rows)


def is_masked(array: Any) -> bool:
    """Whether an array of numpy hides some of its values."""
    return isinstance(array, np.ma.MaskedArray) and bool(np.ma.is_masked(array))
