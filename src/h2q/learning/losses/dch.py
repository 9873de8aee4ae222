"""Deep Cauchy hashing (DCH)."""

from __future__ import annotations

from torch import Tensor, nn, where

from h2q.learning.losses._batch import (
    balanced,
    cosines,
    full_precision,
    mean_or_zero,
    similar,
    unordered_pairs,
)

# Share of the range of distances that is kept free at 0, so that log(1 + gamma / d) is finite for
# two dissimilar items of the same direction.
_EPS = 1e-5


class DCHLoss(nn.Module):
    r"""Deep Cauchy hashing (DCH): Cauchy cross-entropy, weighted by the balance of the pairs.

    .. math::
        L = \operatorname{mean}_{i<j} \; w_{ij} \Bigl( s_{ij} \log \frac{d_{ij}}{\gamma}
            + \log \bigl(1 + \frac{\gamma}{d_{ij}}\bigr) \Bigr),
        \qquad d_{ij} = \frac k2 (1 - \cos(z_i, z_j))

    with :math:`w_{ij} = |S| / |S_1|` for a similar pair and :math:`|S| / |S_0|` for a dissimilar
    one. It is the negative log-likelihood of :math:`p(s_{ij} = 1) = \gamma / (\gamma + d_{ij})`,
    so a similar pair costs :math:`\log(1 + d/\gamma)` and a dissimilar one
    :math:`\log(1 + \gamma/d)`.

    Parameters
    ----------
    n_bits : int
        Length k of the embeddings.
    gamma : float, default=10
        Scale of the Cauchy distribution in bits (H²Q's experiments; DCH cross-validates it).
    similar_probability : float, optional
        Share of similar pairs in the data set. By default their share in the batch.

    Notes
    -----
    The paper's quantization term is the penalty ``"cauchy"`` of `h2q.learning.penalties`.

    References
    ----------
    Y. Cao, M. Long, B. Liu, J. Wang, "Deep Cauchy Hashing for Hamming Space Retrieval", CVPR 2018,
    eq. 6 and 8.

    Examples
    --------
    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> loss = DCHLoss(n_bits=2, gamma=1.0)
    >>> round(float(loss(z, torch.eye(2))), 3)  # d = 1, so log 2
    0.693
    """

    def __init__(
        self,
        *,
        n_bits: int,
        gamma: float = 10.0,
        similar_probability: float | None = None,
    ) -> None:
        super().__init__()
        self.n_bits = n_bits
        self.gamma = gamma
        self.similar_probability = similar_probability

    @full_precision
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings (n, k), multi-hot labels (n, c) -> scalar."""
        cos = unordered_pairs(cosines(embeddings, embeddings))
        s = unordered_pairs(similar(labels))
        d = self.n_bits * (_EPS + (1 - 2 * _EPS) * 0.5 * (1 - cos).clamp_min(0))
        cost = where(s, d / self.gamma, self.gamma / d).log1p()
        return mean_or_zero(balanced(s, self.similar_probability, cost.dtype) * cost)
