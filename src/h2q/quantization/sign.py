"""No rotation at all: the baseline that the others must beat."""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, device

from h2q._typing import Array, RandomState
from h2q.quantization.base import BaseQuantizer
from h2q.quantization.solvers import SolverResult


class SignQuantizer(BaseQuantizer):
    """Keep the signs of the rows as they are, or of their principal components.

    Parameters
    ----------
    n_bits : int or None, default=None
        Length of a code; at most the number of columns. None keeps all columns.
    max_samples : int, default=50_000
        Not used by this quantizer but for the projection's bookkeeping; there for symmetry.
    random_state : int, numpy Generator, RandomState or None, default=None
        Not used; there so that quantizers can be exchanged.

    Attributes
    ----------
    n_bits_, n_features_in_, n_samples_seen_, rotation_, reflections_, mean_, components_, history_
        See `BaseQuantizer`. `rotation_` is the identity.

    Examples
    --------
    >>> import numpy as np
    >>> from h2q import SignQuantizer
    >>> SignQuantizer().fit_transform(np.asarray([[1.0, -2.0, 3.0], [-1.0, 2.0, 3.0]]))
    array([[160],
           [ 96]], dtype=uint8)
    """

    def __init__(
        self,
        n_bits: int | None = None,
        *,
        max_samples: int = 50_000,
        random_state: RandomState = None,
    ):
        self.n_bits = n_bits
        self.max_samples = max_samples
        self.random_state = random_state

    def _find_rotation(
        self, z: Array, generator: np.random.Generator, validation: Array | None
    ) -> SolverResult:
        return SolverResult(array_namespace(z).eye(z.shape[1], dtype=z.dtype, device=device(z)))
