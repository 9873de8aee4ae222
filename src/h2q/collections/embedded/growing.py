"""An array that grows at its end, each element copied but a few times on the way."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)


class Growing(Generic[_Scalar]):
    """Rows of one type, with room to grow.

    Parameters
    ----------
    array : ndarray
        The first rows. Not copied, and never written: it may be a file mapped into memory.
    """

    def __init__(self, array: NDArray[_Scalar]) -> None:
        self._array = array
        self._size = len(array)

    def __len__(self) -> int:
        return self._size

    @property
    def array(self) -> NDArray[_Scalar]:
        """All rows; a view."""
        return self._array[: self._size]

    def extend(self, rows: NDArray[_Scalar]) -> None:
        """Add rows at the end."""
        end = self._size + len(rows)
        if end > len(self._array):
            capacity = max(end, len(self._array) * 3 // 2, 1024)
            grown = np.empty((capacity, *self._array.shape[1:]), dtype=self._array.dtype)
            grown[: self._size] = self.array
            self._array = grown
        self._array[self._size : end] = rows
        self._size = end
