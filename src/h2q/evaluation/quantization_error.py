"""How far rotated rows are from their codes: what quantization takes away, without any label."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.evaluation._backend import backend_for
from h2q.evaluation._sides import prepare


@dataclass(frozen=True)
class QuantizationErrors:
    """Means over all entries z of rows at length sqrt(k), the length of a row of -1 and +1.

    Attributes
    ----------
    l1 : float
        Of abs(abs(z) - 1).
    l2 : float
        Of (abs(z) - 1)^2, which is 2 (1 - mean of abs(z)).
    """

    l1: float
    l2: float

    def to_dict(self) -> dict[str, float]:
        """Return the errors by name, ready for JSON."""
        return asdict(self)


def quantization_errors(rows: Array) -> QuantizationErrors:
    """Return the L1 and L2 error of taking rotated rows by their signs (arXiv 2311.04207, sec. 3).

    Parameters
    ----------
    rows : array, shape (n, k)
        Rotated real rows, of any length each; numpy, or torch on any device. A row of zeros has no
        direction and counts as k entries of 0.

    Raises
    ------
    InvalidInputError
        For packed codes, NaN, or arrays of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> found = quantization_errors(np.array([[3.0, -3.0], [1.0, 0.0]]))
    >>> round(found.l1, 4), round(found.l2, 4)
    (0.3536, 0.2929)
    """
    backend = backend_for(rows)
    xp = backend.xp
    if backend.asarray(rows).dtype == xp.uint8:
        raise InvalidInputError("the quantization error needs real rows, got packed codes")
    side, _, n_bits = prepare(rows, rows, None, backend)
    unit, step = side.unit, 1 << 14
    l1 = l2 = backend.zeros((1,))
    for start in range(0, len(side), step):
        gap = xp.abs(xp.abs(unit.take(slice(start, start + step))) * n_bits**0.5 - 1)
        l1 = l1 + xp.sum(gap)
        l2 = l2 + xp.sum(gap * gap)
    entries = len(side) * n_bits
    return QuantizationErrors(l1=float(l1[0]) / entries, l2=float(l2[0]) / entries)
