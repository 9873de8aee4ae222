"""Smooth L1 distance to the nearest code: the quantization loss of DHN."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.functional import softplus

from h2q.learning.penalties._batch import full_precision, mean_over_items


class LogCoshPenalty(nn.Module):
    r"""Smooth L1 distance to the nearest code (DHN): mean of :math:`\sum_b \log\cosh(|z_b| - 1)`.

    References
    ----------
    H. Zhu, M. Long, J. Wang, Y. Cao, "Deep Hashing Network for Efficient Similarity Retrieval",
    AAAI 2016, eq. 8.

    Examples
    --------
    >>> import torch
    >>> round(LogCoshPenalty()(torch.tensor([[1.0, 0.0]])).item(), 4)  # log cosh 1
    0.4338
    """

    @full_precision
    def forward(self, embeddings: Tensor) -> Tensor:
        """Penalty of embeddings (n, k) -> scalar."""
        gap = embeddings.abs() - 1
        # log cosh x = x + log(1 + e^-2x) - log 2, which does not overflow.
        return mean_over_items(gap + softplus(-2 * gap) - math.log(2))
