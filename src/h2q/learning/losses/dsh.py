"""Deep supervised hashing (DSH)."""

from __future__ import annotations

from torch import Tensor, nn, where

from h2q.learning.losses._batch import (
    full_precision,
    mean_or_zero,
    similar,
    unordered_pairs,
)


class DSHLoss(nn.Module):
    r"""Deep supervised hashing (DSH): contrastive loss on squared Euclidean distances.

    .. math::
        L = \operatorname{mean}_{i<j} \; \tfrac12 s_{ij} D_{ij}
            + \tfrac12 (1 - s_{ij}) \max(0, m - D_{ij}),
        \qquad D_{ij} = \lVert z_i - z_j \rVert_2^2

    Parameters
    ----------
    n_bits : int
        Length k of the embeddings.
    margin : float, optional
        m; by default 2k as in the paper (sec. 4.1), the squared distance of codes that differ in
        half their bits.

    Notes
    -----
    The paper's regulariser, alpha times the L1 distance of :math:`|z|` to 1, is the penalty
    ``"l1"`` of `h2q.learning.penalties`.

    References
    ----------
    H. Liu, R. Wang, S. Shan, X. Chen, "Deep Supervised Hashing for Fast Image Retrieval",
    CVPR 2016, eq. 4 without its last term.

    Examples
    --------
    >>> import torch
    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    >>> float(DSHLoss(n_bits=2)(z, torch.eye(2)))  # D = 4 is the margin
    0.0
    >>> float(DSHLoss(n_bits=2)(z, torch.ones(2, 1)))
    2.0
    """

    def __init__(self, *, n_bits: int, margin: float | None = None) -> None:
        super().__init__()
        self.margin = 2.0 * n_bits if margin is None else margin

    @full_precision
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings (n, k), multi-hot labels (n, c) -> scalar."""
        squares = embeddings.square().sum(dim=1)
        inner = embeddings @ embeddings.T
        d = unordered_pairs(squares[:, None] + squares[None, :] - 2 * inner).clamp_min(0)
        s = unordered_pairs(similar(labels))
        return mean_or_zero(0.5 * where(s, d, (self.margin - d).clamp_min(0)))
