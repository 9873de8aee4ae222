"""A random rotation: a baseline that spreads variance over the bits without learning."""

from __future__ import annotations

import numpy as np

from h2q._typing import Array, RandomState
from h2q.quantization.arrays import like
from h2q.quantization.base import BaseQuantizer
from h2q.quantization.randomness import random_orthogonal
from h2q.quantization.solvers import SolverResult


class RandomRotationQuantizer(BaseQuantizer):
    """Rotate by a uniformly random orthogonal matrix, then keep the signs.

    Parameters
    ----------
    n_bits : int or None, default=None
        Length of a code; at most the number of columns. None keeps all columns. Where it is below
        the number of columns, rows are centred and projected to their principal directions first.
    max_samples : int, default=50_000
        Not used by this quantizer but for the projection's bookkeeping; there for symmetry.
    random_state : int, numpy Generator, RandomState or None, default=None
        Of the rotation.

    Attributes
    ----------
    n_bits_, n_features_in_, n_samples_seen_, rotation_, reflections_, mean_, components_, history_
        See `BaseQuantizer`.

    Examples
    --------
    >>> import numpy as np
    >>> from h2q import RandomRotationQuantizer
    >>> rows = np.random.default_rng(0).normal(size=(50, 12))
    >>> RandomRotationQuantizer(random_state=0).fit_transform(rows).shape
    (50, 2)
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
        return SolverResult(like(random_orthogonal(z.shape[1], generator), z))
