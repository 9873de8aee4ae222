"""Deep pairwise-supervised hashing (DPSH)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import softplus

from h2q.learning.losses._batch import (
    full_precision,
    mean_or_zero,
    similar,
    unordered_pairs,
)


class DPSHLoss(nn.Module):
    r"""Deep pairwise-supervised hashing (DPSH): likelihood of the pairs, half inner products.

    .. math::
        L = -\operatorname{mean}_{i<j} \; s_{ij} \Theta_{ij} - \log(1 + e^{\Theta_{ij}}),
        \qquad \Theta_{ij} = \tfrac12 z_i^\top z_j

    The negative log-likelihood of :math:`p(s_{ij} = 1) = \sigma(\Theta_{ij})`.

    Notes
    -----
    The paper's quantization term, eta times the squared distance of z to its sign, is the penalty
    ``"l2"`` of `h2q.learning.penalties`. The paper sums over pairs; the mean is the same objective
    at another learning rate.

    References
    ----------
    W.-J. Li, S. Wang, W.-C. Kang, "Feature Learning Based Deep Supervised Hashing with Pairwise
    Labels", IJCAI 2016, eq. 2.

    Examples
    --------
    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> round(float(DPSHLoss()(z, torch.eye(2))), 4)  # log 2
    0.6931
    """

    @full_precision
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings (n, k), multi-hot labels (n, c) -> scalar."""
        theta = 0.5 * unordered_pairs(embeddings @ embeddings.T)
        s = unordered_pairs(similar(labels))
        return mean_or_zero(softplus(theta) - s * theta)
