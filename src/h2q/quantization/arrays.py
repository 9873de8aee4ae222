"""The few array operations that the array-API standard leaves to each namespace."""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from h2q._typing import Array

__all__ = [
    "added_product",
    "check_array",
    "joined",
    "like",
    "solve_upper_triangular",
    "to_numpy",
    "transposed",
    "working_dtype",
]


def to_numpy(x: Array) -> NDArray[Any]:
    """Copy an array of any namespace and device to numpy; numpy arrays are returned as they are."""
    if array_api_compat.is_numpy_array(x):
        array: NDArray[Any] = x
        return array
    if array_api_compat.is_torch_array(x):
        x = x.detach().cpu()
        # numpy has no bfloat16.
        return np.asarray(x.float() if x.dtype.is_floating_point and x.dtype.itemsize < 4 else x)
    if array_api_compat.is_cupy_array(x):
        return np.asarray(x.get())
    return np.from_dlpack(x)


def joined(blocks: list[Array]) -> Array:
    """Concatenate blocks of rows; a single block is returned as it is."""
    return blocks[0] if len(blocks) == 1 else array_namespace(blocks[0]).concat(blocks, axis=0)


def like(values: Array, reference: Array, dtype: Any = None) -> Array:
    """Move `values` to the namespace, device and dtype of `reference`.

    Parameters
    ----------
    values : array
        Of any namespace; returned as it is where nothing has to change.
    reference : array
        Says the namespace and the device, and the dtype where `dtype` is None.
    dtype : dtype of the namespace of `reference`, optional
    """
    xp = array_namespace(reference)
    dtype = reference.dtype if dtype is None else dtype
    if array_namespace(values) is not xp:
        values = to_numpy(values)
        if any(stride < 0 for stride in values.strides):  # torch reads no such array
            values = values.copy()
    return xp.asarray(values, dtype=dtype, device=device(reference))


def working_dtype(x: Array) -> Any:
    """Real dtype in which rows like `x` are computed: float64 where float32 would lose digits.

    float16, bfloat16, float32, booleans and integers of up to 16 bits compute in float32; float64
    and wider integers in float64.
    """
    xp = array_namespace(x)
    if array_api_compat.is_numpy_array(x):  # in either byte order; long double counts as float64
        wide = x.dtype.itemsize > (4 if x.dtype.kind == "f" else 2)
        return xp.float64 if wide else xp.float32
    if x.dtype in (xp.float64, xp.int64, xp.int32) or "uint32" in str(x.dtype):
        return xp.float64
    return xp.float64 if "uint64" in str(x.dtype) else xp.float32


def transposed(x: Array) -> Array:
    """Transpose a small matrix that is about to be multiplied.

    numpy copies it: BLAS multiplies small matrices twice as fast when both are row-major.
    """
    return np.ascontiguousarray(x.T) if array_api_compat.is_numpy_array(x) else x.T


def added_product(alpha: float, q: Array, beta: float, g: Array) -> Array:
    """Return ``alpha q + beta q @ g``, in one kernel where torch computes it."""
    if array_api_compat.is_torch_array(q):
        import torch

        return torch.addmm(q, q, g, beta=alpha, alpha=beta)
    return q * alpha + q @ (g * beta)


def solve_upper_triangular(s: Array, b: Array) -> Array:
    """Solve ``s @ x = b`` where `s` is upper triangular: BLAS, torch, or the standard's `solve`.

    Parameters
    ----------
    s : array of shape (m, m)
        No zero on the diagonal.
    b : array of shape (m, n)

    Returns
    -------
    array of shape (m, n)
    """
    if array_api_compat.is_numpy_array(s):
        # Transposed, from the right: on row-major arrays BLAS then needs no copy of the inputs, and
        # for small matrices it takes half of the time of LAPACK's trtrs.
        import scipy.linalg.blas  # only here: its import takes a while

        blas = scipy.linalg.blas
        trsm = blas.strsm if s.dtype == b.dtype == np.float32 else blas.dtrsm
        return trsm(1.0, s.T, b.T, side=1, lower=1).T
    xp = array_namespace(s, b)
    if array_api_compat.is_torch_namespace(xp):
        import torch

        return torch.linalg.solve_triangular(s, b, upper=True)
    return xp.linalg.solve(s, b)


def check_array(tensors: dict[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> None:
    """Check an array of a file; `ValueError` if it is not finite floats of this shape."""
    found = tensors[name]
    if found.shape != shape or found.dtype.kind != "f" or not np.isfinite(found).all():
        raise ValueError(f"{name} should be {shape} finite numbers, not {found.shape}")
