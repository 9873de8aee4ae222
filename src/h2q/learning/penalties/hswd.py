"""Hashing sliced Wasserstein distance (HSWD)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from h2q.learning.penalties._batch import full_precision


class HSWDPenalty(nn.Module):
    r"""Sliced Wasserstein distance (HSWD) of each bit's values to balanced codes.

    .. math::
        \frac1k \sum_{b=1}^{k} W_2^2 \Bigl( \tfrac1n \sum_i \delta_{z_{ib}},
            \; \tfrac12 \delta_{-1} + \tfrac12 \delta_{+1} \Bigr)

    The slices are the k coordinate axes. In one dimension the optimal transport sorts: the lower
    half of a bit's values in the batch goes to -1, the upper half to +1. So the penalty asks for
    balanced bits as well as for values near -1 and +1.

    Notes
    -----
    The paper draws n random codes a batch to compare with; here the target is the balanced
    distribution itself, which those draws approximate, so the penalty has no randomness. The middle
    one of an odd number of values goes half to each side. H²Q's experiments weight it by 0.1.

    References
    ----------
    K. D. Doan, P. Yang, P. Li, "One Loss for Quantization: Deep Hashing with Discrete Wasserstein
    Distributional Matching", CVPR 2022, sec. 3.3.

    Examples
    --------
    >>> import torch
    >>> z = torch.tensor([[1.0, 1.0], [-1.0, 1.0]])  # the second bit is not balanced: (0 + 4) / 2
    >>> HSWDPenalty()(z).item()
    1.0
    """

    @full_precision
    def forward(self, embeddings: Tensor) -> Tensor:
        """Penalty of embeddings (n, k) -> scalar."""
        n, k = embeddings.shape
        values = embeddings.sort(dim=0).values
        # Mass of the i-th smallest value that goes to +1: 0, ..., 0, (1/2 if n is odd), 1, ..., 1.
        up = (torch.arange(1, n + 1).to(values) - n / 2).clamp(0, 1)[:, None]
        cost = (1 - up) * (values + 1).square() + up * (values - 1).square()
        return cost.sum() / max(n * k, 1)
