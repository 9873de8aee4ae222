"""Reading the pickles in which data sets and weights are published, without running them.

A pickle is a program. These readers know the few names that plain data needs, stand in for each
with a function of their own, and refuse every other name.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

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
    return load_restricted(io.BytesIO(data), name, _ARRAYS, encoding="bytes")


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
    try:
        return _Restricted(stream, allowed, persistent, encoding).load()
    except FormatError as error:
        raise FormatError(f"{name}: {error}") from error
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        MemoryError,
    ) as error:
        raise FormatError(f"{name} cannot be unpickled: {error}") from error


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """Do what Python 3 writes for bytes in old protocols: `_codecs.encode(text, "latin1")`."""
    if encoding not in ("latin1", "latin-1"):
        raise FormatError(f"unexpected encoding {encoding!r}")
    return text.encode("latin1")


def _empty_array(kind: type, shape: tuple[int, ...], code: bytes) -> np.ndarray[Any, Any]:
    """Do what numpy's `_reconstruct` does for a plain array; its state follows."""
    if kind is not np.ndarray or shape != (0,):
        raise FormatError("an array is written in an unexpected way")
    return np.ndarray(shape, dtype="b")


_ARRAYS: Names = {
    ("numpy", "ndarray"): np.ndarray,  # the argument of _reconstruct
    ("numpy", "dtype"): np.dtype,
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
