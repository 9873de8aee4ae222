"""L1 distance to the nearest code: the regulariser of DSH."""

from __future__ import annotations

from torch import Tensor, nn

from h2q.learning.penalties._batch import full_precision, mean_over_items


class L1Penalty(nn.Module):
    r"""L1 distance to the nearest code (DSH): mean over items of :math:`\sum_b ||z_b| - 1|`.

    References
    ----------
    H. Liu, R. Wang, S. Shan, X. Chen, "Deep Supervised Hashing for Fast Image Retrieval",
    CVPR 2016, eq. 4, last term (weight alpha = 0.01).

    Examples
    --------
    >>> import torch
    >>> L1Penalty()(torch.tensor([[0.5, -2.0]])).item()
    1.5
    """

    @full_precision
    def forward(self, embeddings: Tensor) -> Tensor:
        """Penalty of embeddings (n, k) -> scalar."""
        return mean_over_items((embeddings.abs() - 1).abs())
