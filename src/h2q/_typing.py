"""Names for the arrays that flow through h2q."""

from __future__ import annotations

from os import PathLike
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

#: Any array of the array-API standard: numpy, torch (CPU or CUDA), ...
Array: TypeAlias = Any
#: Real rows, shape (n, d).
FloatArray: TypeAlias = NDArray[np.floating[Any]]
#: Packed codes, shape (n, ceil(n_bits / 8)), uint8, MSB first, padding bits zero.
CodeArray: TypeAlias = NDArray[np.uint8]
IntArray: TypeAlias = NDArray[np.integer[Any]]
#: What numpy takes as a seed; None means unseeded.
RandomState: TypeAlias = int | np.random.Generator | np.random.RandomState | None
StrPath: TypeAlias = str | PathLike[str]
