"""Iterative quantization, the baseline."""

from __future__ import annotations

import numpy as np

from h2q._typing import Array, RandomState
from h2q.quantization.base import BaseQuantizer
from h2q.quantization.solvers import SolverResult, get_solver


class ITQQuantizer(BaseQuantizer):
    """Iterative quantization (ITQ): alternate between signs and the best rotation to them.

    Gong & Lazebnik 2011 (https://doi.org/10.1109/CVPR.2011.5995432), from a random rotation. As
    everywhere in h2q, rows are scaled to the sqrt(k) sphere first and are centred and projected to
    their principal directions only where `n_bits` is below the number of columns.

    Parameters
    ----------
    n_bits : int or None, default=None
        Length of a code; at most the number of columns. None keeps all columns.
    max_iter : int, default=50
        Most alternations, as in the publication.
    max_samples : int, default=50_000
        Most rows the rotation is found on: above it, a uniform sample.
    random_state : int, numpy Generator, RandomState or None, default=None
        Of the random start.

    Attributes
    ----------
    n_bits_, n_features_in_, n_samples_seen_, rotation_, reflections_, mean_, components_, history_
        See `BaseQuantizer`.
    n_iter_ : int
        Alternations made: fewer than `max_iter` where nothing changed any more.

    Examples
    --------
    >>> import numpy as np
    >>> from h2q import ITQQuantizer
    >>> rows = np.random.default_rng(0).laplace(size=(500, 16))
    >>> ITQQuantizer(n_bits=8, random_state=0).fit_transform(rows).shape
    (500, 1)
    """

    _min_rows = 2

    def __init__(
        self,
        n_bits: int | None = None,
        *,
        max_iter: int = 50,
        max_samples: int = 50_000,
        random_state: RandomState = None,
    ):
        self.n_bits = n_bits
        self.max_iter = max_iter
        self.max_samples = max_samples
        self.random_state = random_state

    def _find_rotation(
        self, z: Array, generator: np.random.Generator, validation: Array | None
    ) -> SolverResult:
        return get_solver("procrustes")(
            z, objective="l2", random_state=generator, n_init=1, max_iter=self.max_iter
        )

    @property
    def n_iter_(self) -> int:
        """Alternations made."""
        return len(self.history_["loss"])
