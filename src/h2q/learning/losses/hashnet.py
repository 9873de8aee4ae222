"""HashNet: hashing by continuation."""

from __future__ import annotations

import math

from torch import Tensor, nn, ones_like, where
from torch.nn.functional import softplus

from h2q.learning.losses._batch import (
    balanced,
    full_precision,
    mean_or_zero,
    similar,
    unordered_pairs,
)


class HashNetLoss(nn.Module):
    r"""HashNet: weighted pairs on tanh(beta z), where beta grows from epoch to epoch.

    .. math::
        L = \operatorname{mean}_{i<j} \; w_{ij} \bigl( \log(1 + e^{\alpha \langle g_i, g_j
            \rangle}) - \alpha s_{ij} \langle g_i, g_j \rangle \bigr),
        \qquad g = \tanh(\beta z)

    with :math:`w_{ij} = c_{ij} |S| / |S_1|` for a similar pair, where :math:`c_{ij}` is the number
    of shared labels over the number of labels of either, and :math:`w_{ij} = |S| / |S_0|` for a
    dissimilar one.

    Parameters
    ----------
    n_bits : int
        Length k of the embeddings.
    alpha : float, optional
        Slope of the adaptive sigmoid, by default 10 / k (the authors' and H²Q's experiments).
    growth : float, default=50
        At a share t of the training, beta is sqrt(1 + growth * t). 50 ends where the authors'
        published schedule does, at beta = 7.1 (10,000 iterations, one stage every 200).
    similar_probability : float, optional
        Share of similar pairs in the data set. By default their share in the batch.

    Attributes
    ----------
    beta : float
        Set by `on_epoch_start`; 1 before.

    Notes
    -----
    There is no quantization term: the continuation drives tanh(beta z) to the signs of z.

    References
    ----------
    Z. Cao, M. Long, J. Wang, P. S. Yu, "HashNet: Deep Learning to Hash by Continuation",
    ICCV 2017, eq. 2, 4 and algorithm 1.

    Examples
    --------
    >>> loss = HashNetLoss(n_bits=16)
    >>> loss.on_epoch_start(epoch=5, n_epochs=10)
    >>> round(loss.beta, 2)
    5.1
    """

    def __init__(
        self,
        *,
        n_bits: int,
        alpha: float | None = None,
        growth: float = 50.0,
        similar_probability: float | None = None,
    ) -> None:
        super().__init__()
        self.alpha = 10.0 / n_bits if alpha is None else alpha
        self.growth = growth
        self.similar_probability = similar_probability
        self.beta = 1.0

    def on_epoch_start(self, epoch: int, n_epochs: int) -> None:
        """Move the continuation to epoch `epoch` (from 0) of `n_epochs`."""
        self.beta = math.sqrt(1 + self.growth * epoch / max(n_epochs, 1))

    @full_precision
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings (n, k), multi-hot labels (n, c) -> scalar."""
        g = (self.beta * embeddings).tanh()
        inner = self.alpha * unordered_pairs(g @ g.T)
        s = unordered_pairs(similar(labels))
        weight = balanced(s, self.similar_probability, inner.dtype)
        weight = weight * where(s, unordered_pairs(_jaccard(labels)), ones_like(inner))
        return mean_or_zero(weight * (softplus(inner) - s * inner))


def _jaccard(labels: Tensor) -> Tensor:
    """Shared labels over labels of either, (n, n); 0 for two items without labels."""
    shared = labels @ labels.T
    count = labels.sum(dim=1)
    return shared / (count[:, None] + count[None, :] - shared).clamp_min(1)
