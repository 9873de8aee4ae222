"""Cosine embedding loss (CEL)."""

from __future__ import annotations

from torch import Tensor, nn, where

from h2q.learning.losses._batch import (
    cosines,
    full_precision,
    mean_or_zero,
    similar,
    unordered_pairs,
)
from h2q.learning.losses.code_separation import cosine_separation


class CELLoss(nn.Module):
    r"""Cosine embedding loss (CEL), with the separation that codes of n_bits can reach.

    .. math::
        L = \operatorname{mean}_{i<j} \; s_{ij} (1 - c_{ij})
            + (1 - s_{ij}) \max(0, c_{ij} - \zeta)

    where :math:`c_{ij} = \cos(z_i, z_j)`, :math:`s_{ij} = 1` when i and j share a label, and the
    separation :math:`\zeta = 1 - 2d/k` is the cosine of the closest codewords of the best binary
    linear code [k, m, d] with :math:`m = \lceil\log_2 \text{n\_classes}\rceil`: no set of codes
    does better, so pairs are pushed apart no further.

    Parameters
    ----------
    n_bits : int
        Length k of the embeddings.
    n_classes : int
        Number c of labels.
    separation : float, optional
        :math:`\zeta`, in [-1, 1]. By default from `n_bits` and `n_classes`.

    Notes
    -----
    The loss depends on angles alone, so rotating all embeddings leaves it as it is: the property
    that lets H²Q quantize for nothing.

    References
    ----------
    L. R. Schwengber, L. Resende, P. Orenstein, R. I. Oliveira, "Deep Hashing via Householder
    Quantization", arXiv:2311.04207, 2023 (the loss it trains beside HyP², whose separation it
    takes).

    Examples
    --------
    >>> import torch
    >>> loss = CELLoss(n_bits=2, n_classes=2, separation=0.0)
    >>> z = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 1.0]])
    >>> labels = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> round(float(loss(z, labels)), 4)  # (0 + cos 45 deg + cos 45 deg) / 3
    0.4714
    """

    def __init__(self, *, n_bits: int, n_classes: int, separation: float | None = None) -> None:
        super().__init__()
        self.separation = cosine_separation(n_bits, n_classes) if separation is None else separation

    @full_precision
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings (n, k), multi-hot labels (n, c) -> scalar."""
        c = unordered_pairs(cosines(embeddings, embeddings))
        s = unordered_pairs(similar(labels))
        return mean_or_zero(where(s, 1 - c, (c - self.separation).clamp_min(0)))
