"""Cauchy quantization loss of DCH."""

from __future__ import annotations

from torch import Tensor, nn, ones_like

from h2q.learning.losses._batch import unit_rows
from h2q.learning.penalties._batch import full_precision, mean_over_items


class CauchyPenalty(nn.Module):
    r"""Cauchy quantization loss (DCH): mean of :math:`\log(1 + d(|z|, 1) / \gamma)`.

    :math:`d(x, y) = \frac k2 (1 - \cos(x, y))`, and 1 is the vector of ones: the penalty looks at
    the direction of z alone.

    Parameters
    ----------
    gamma : float, default=10
        Scale of the Cauchy distribution in bits, as in `DCHLoss`.

    References
    ----------
    Y. Cao, M. Long, B. Liu, J. Wang, "Deep Cauchy Hashing for Hamming Space Retrieval", CVPR 2018,
    eq. 9.

    Examples
    --------
    >>> import torch
    >>> round(CauchyPenalty()(torch.tensor([[3.0, -3.0]])).item(), 4)
    0.0
    """

    def __init__(self, *, gamma: float = 10.0) -> None:
        super().__init__()
        self.gamma = gamma

    @full_precision
    def forward(self, embeddings: Tensor) -> Tensor:
        """Penalty of embeddings (n, k) -> scalar."""
        cos = (unit_rows(embeddings.abs()) * unit_rows(ones_like(embeddings))).sum(dim=1)
        d = 0.5 * embeddings.shape[1] * (1 - cos).clamp_min(0)
        return mean_over_items((d / self.gamma).log1p())
