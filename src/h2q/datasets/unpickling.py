"""Reading the pickles in which CIFAR-10 is published, without running what a pickle may run."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from h2q.errors import FormatError


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
    try:
        return _PlainUnpickler(io.BytesIO(data), encoding="bytes").load()
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


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "ndarray"): np.ndarray,  # the argument of _reconstruct
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _empty_array,
    ("numpy._core.multiarray", "_reconstruct"): _empty_array,
    ("_codecs", "encode"): _latin1_bytes,
}


class _PlainUnpickler(pickle.Unpickler):  # find_class is the documented way to restrict a pickle
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise FormatError(f"the pickle asks for {module}.{name}, which plain data never does")
        return _ALLOWED[module, name]
