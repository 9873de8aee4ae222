"""Arrays of a weights file of PyTorch before 1.6, read without torch and without running it.

Such a `.pth` is five pickles (a magic number, the protocol, facts of the machine, the dictionary
of tensors, the order of the storages) and then the storages: a length and the raw numbers each.
Newer files are zip archives; none is needed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from h2q._foreign import reading, size_of
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q._unpickling import Names, load_restricted
from h2q.errors import FormatError

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_DTYPES: Final = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    length: int


@dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Dict(dict[str, Any]):
    """An OrderedDict whose attributes (torch keeps versions there) are passed over."""

    def __setstate__(self, state: Any) -> None:
        pass


def read_torch_arrays(path: StrPath) -> dict[str, NDArray[Any]]:
    """Read the tensors of a `.pth` file that holds one dictionary of them.

    Parameters
    ----------
    path : path
        The file, in the format of PyTorch before 1.6.

    Returns
    -------
    dict of str to ndarray
        In the order of the file.

    Raises
    ------
    FormatError
        If the file is missing, damaged or of another format, or its pickle names anything but
        tensors.

    Notes
    -----
    The format is that of `torch.serialization._legacy_save`.
    """
    path = as_path(path)
    try:
        size_of(path)
        with path.open("rb") as file, reading(path, "a weights file of PyTorch before 1.6"):
            return _read(file, str(path))
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read(file: BinaryIO, name: str) -> dict[str, NDArray[Any]]:
    if load_restricted(file, name, {}) != _MAGIC or load_restricted(file, name, {}) != _PROTOCOL:
        raise FormatError(f"{name}: not a weights file of the format of PyTorch before 1.6")
    if not load_restricted(file, name, {}).get("little_endian"):
        raise FormatError(f"{name}: written on a big-endian machine, which is not read")
    tensors = load_restricted(file, name, _NAMES, persistent=_storage)
    if not isinstance(tensors, dict) or not all(isinstance(t, _Tensor) for t in tensors.values()):
        raise FormatError(f"{name}: holds something else than one dictionary of tensors")
    stored = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    arrays: dict[str, NDArray[Any]] = {}
    for key in load_restricted(file, name, {}):
        if key not in stored:
            raise FormatError(f"{name}: holds a storage {key!r} of no tensor")
        dtype, length = np.dtype(stored[key].dtype), stored[key].length
        said = int.from_bytes(file.read(8), "little")
        data = file.read(length * dtype.itemsize)
        if said != length or len(data) != length * dtype.itemsize:
            raise FormatError(f"{name}: truncated or damaged at the storage {key!r}")
        arrays[key] = np.frombuffer(data, dtype)
    return {key: _array(tensor, arrays, name) for key, tensor in tensors.items()}


def _array(tensor: _Tensor, arrays: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    whole = arrays.get(tensor.storage.key)
    steps = list(zip(tensor.shape, tensor.strides, strict=True))
    # The last number a tensor touches must be the storage's, whatever its strides claim.
    last = tensor.offset + sum((n - 1) * step for n, step in steps)
    if whole is None or tensor.offset < 0 or any(n < 1 or step < 0 for n, step in steps):
        raise FormatError(f"{name}: a tensor is laid out in an unexpected way")
    if last >= len(whole) or math.prod(tensor.shape) > len(whole):
        raise FormatError(f"{name}: a tensor reaches beyond its storage")
    view = np.lib.stride_tricks.as_strided(
        whole[tensor.offset :],
        tensor.shape,
        [step * whole.itemsize for step in tensor.strides],
        writeable=False,
    )
    return np.array(view)


def _storage(pid: Any) -> _Storage:
    kind, dtype, key, _, length, *_ = pid
    if kind != "storage":
        raise FormatError(f"the pickle refers to an object of the kind {kind!r}")
    return _Storage(str(key), str(dtype), int(length))


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(shape), tuple(strides))


def _names() -> dict[tuple[str, str], Callable[..., Any]]:
    names: dict[tuple[str, str], Any] = {("torch", name): kind for name, kind in _DTYPES.items()}
    names["collections", "OrderedDict"] = _Dict
    names["torch._utils", "_rebuild_tensor_v2"] = _tensor
    return names


_NAMES: Names = _names()
