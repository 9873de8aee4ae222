"""Reading the pickles in which data sets and weights are published, without running them.

A pickle is a program. These readers know the few names that plain data needs, stand in for each
with a function of their own, and refuse every other name.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from h2q._foreign import reading
from h2q.errors import FormatError

#: What a name in a pickle, (module, name), stands for.
Names = Mapping[tuple[str, str], Callable[..., Any]]


def load_plain_pickle(data: bytes, name: str) -> Any:
    """Unpickle numbers, strings, bytes, lists, dicts and numpy arrays; refuse everything else.

    Parameters
    ----------
    data : bytes
        A pickle of Python 2 or 3; strings of Python 2 become bytes.
    name : str
        For the error.

    Raises
    ------
    FormatError
        If the pickle is damaged, or names any class or function but those of a plain array.
    """
    return _unwrapped(load_restricted(io.BytesIO(data), name, _ARRAYS, encoding="bytes"))


def load_restricted(
    stream: BinaryIO,
    name: str,
    allowed: Names,
    *,
    persistent: Callable[[Any], Any] | None = None,
    encoding: str = "ASCII",
) -> Any:
    """Unpickle one object from where a stream stands, with no name but the allowed ones.

    Parameters
    ----------
    stream : binary file
        Left behind the object.
    name : str
        For the error.
    allowed : mapping of (module, name) to callable
        What may be named, and the function that stands in for it.
    persistent : callable, optional
        Makes the object of a persistent id (torch's storages); refused by default.
    encoding : str
        Of strings of Python 2, as `pickle.load` takes it.

    Raises
    ------
    FormatError
        If the pickle is damaged, or asks for anything else.
    """
    with reading(name, "a pickle of plain data"):
        start = stream.tell()
        _check_sharing(stream)
        stream.seek(start)
        return _Restricted(stream, allowed, persistent, encoding).load()


def _check_sharing(stream: BinaryIO) -> None:
    """Refuse a tuple that is used twice, and sets: some hundred bytes of them take for ever.

    A tuple of twice the same tuple, of twice the same, ... is hashed in a time that doubles with
    each of them.
    """
    tuples: set[Any] = set()
    previous, memos = "", 0
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in ("DUP", "EMPTY_SET", "ADDITEMS", "FROZENSET"):
            raise FormatError(f"the pickle holds {name}, which plain data never does")
        if "PUT" in name or name == "MEMOIZE":
            place = memos if name == "MEMOIZE" else argument
            memos += 1
            if previous.startswith("TUPLE"):
                tuples.add(place)
        elif "GET" in name and argument in tuples:
            raise FormatError("the pickle uses a tuple twice, which plain data never does")
        previous = name


class _Array:
    """Stands for an array while its pickle is read."""

    array: np.ndarray[Any, Any]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_columns, content = state
        if not isinstance(kind, _Kind) or not isinstance(content, bytes):
            raise FormatError("an array is written in an unexpected way")
        dtype = np.dtype(kind.text).newbyteorder(kind.order)
        if dtype.hasobject:
            raise FormatError("an array of Python objects, which plain data never is")
        self.array = np.frombuffer(content, dtype).reshape(shape, order="F" if by_columns else "C")


class _Kind:
    """Stands for a dtype while its pickle is read."""

    def __init__(self, text: Any) -> None:
        self.text = text.decode("ascii") if isinstance(text, bytes) else str(text)
        self.order: Any = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        self.order = order.decode("ascii") if isinstance(order, bytes) else str(order)


def _unwrapped(value: Any) -> Any:
    """Put the arrays in the places of those that stood for them."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, dict):
        return {key: _unwrapped(each) for key, each in value.items()}
    return value


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """Do what Python 3 writes for bytes in old protocols: `_codecs.encode(text, "latin1")`."""
    if encoding not in ("latin1", "latin-1"):
        raise FormatError(f"unexpected encoding {encoding!r}")
    return text.encode("latin1")


def _no_call(*_: Any) -> Any:
    """Stand for `numpy.ndarray`, the argument of `_reconstruct`."""
    raise FormatError("an array is written in an unexpected way")


def _empty_array(kind: Any, shape: tuple[int, ...], code: bytes) -> _Array:
    """Do what numpy's `_reconstruct` does for a plain array; its state follows."""
    if kind is not _no_call or shape != (0,):
        raise FormatError("an array is written in an unexpected way")
    return _Array()


def _plain_kind(text: Any, *_: Any) -> _Kind:
    return _Kind(text)


_ARRAYS: Names = {
    ("numpy", "ndarray"): _no_call,
    ("numpy", "dtype"): _plain_kind,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("_codecs", "encode"): _latin1_bytes,
}


class _Restricted(pickle.Unpickler):  # find_class is the documented way to restrict a pickle
    def __init__(
        self,
        stream: BinaryIO,
        allowed: Names,
        persistent: Callable[[Any], Any] | None,
        encoding: str,
    ) -> None:
        super().__init__(stream, encoding=encoding)
        self._allowed, self._persistent = allowed, persistent

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._allowed:
            raise FormatError(f"the pickle asks for {module}.{name}, which plain data never does")
        return self._allowed[module, name]

    def persistent_load(self, pid: Any) -> Any:
        if self._persistent is None:
            raise FormatError("the pickle refers to objects outside itself")
        return self._persistent(pid)
