"""Deep hashing network (DHN)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import softplus

from h2q.learning.losses._batch import (
    full_precision,
    mean_or_zero,
    similar,
    unordered_pairs,
)


class DHNLoss(nn.Module):
    r"""Deep hashing network (DHN): pairwise cross-entropy on whole inner products.

    .. math::
        L = \operatorname{mean}_{i<j} \; \log(1 + e^{\langle z_i, z_j \rangle})
            - s_{ij} \langle z_i, z_j \rangle

    Notes
    -----
    The paper's quantization term, lambda times log cosh(|z| - 1), is the penalty ``"log_cosh"`` of
    `h2q.learning.penalties`. The paper sums over pairs; the mean is the same objective at another
    learning rate.

    References
    ----------
    H. Zhu, M. Long, J. Wang, Y. Cao, "Deep Hashing Network for Efficient Similarity Retrieval",
    AAAI 2016, eq. 6.

    Examples
    --------
    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> round(float(DHNLoss()(z, torch.eye(2))), 4)  # log 2
    0.6931
    """

    @full_precision
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings (n, k), multi-hot labels (n, c) -> scalar."""
        inner = unordered_pairs(embeddings @ embeddings.T)
        s = unordered_pairs(similar(labels))
        return mean_or_zero(softplus(inner) - s * inner)
