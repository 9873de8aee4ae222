"""Weighted Gaussian loss based Hamming hashing (WGLHH)."""

from __future__ import annotations

import math

from torch import Tensor, nn, where

from h2q.errors import InvalidInputError
from h2q.learning.losses._batch import (
    balanced,
    cosines,
    full_precision,
    mean_or_zero,
    similar,
    unordered_pairs,
)


class WGLHHLoss(nn.Module):
    r"""Weighted Gaussian loss based Hamming hashing (WGLHH), with attention to badly trained pairs.

    .. math::
        L = \operatorname{mean}_{i<j} \; w_{ij} a_{ij} \Bigl(
            p_{ij} \log \frac{\theta p_{ij}}{(\theta - 1) p_{ij} + s_{ij}}
            + s_{ij} \log \frac{\theta s_{ij}}{(\theta - 1) s_{ij} + p_{ij}} \Bigr)

    where :math:`p_{ij} = e^{-\alpha d_{ij}^2}` is the Gaussian similarity of two codes at distance
    :math:`d_{ij} = \frac k2 (1 - c_{ij})`, :math:`c_{ij} = \cos(z_i, z_j)`, and
    :math:`a_{ij} = \exp\lvert \tfrac12 (1 + c_{ij}) - s_{ij} \rvert` attends to badly trained
    pairs. With :math:`\theta = 2` the bracket is the divergence of p and s from their mean: zero
    where p = s, else positive. :math:`w_{ij}` balances similar and dissimilar pairs.

    Parameters
    ----------
    n_bits : int
        Length k of the embeddings.
    alpha : float, optional
        Sharpness of the Gaussian, by default 0.1 (16 / k)^2: the 0.1 of WGLHH and of H²Q's
        experiments at 16 bits, and the same sharpness in the cosine at any other length.
    theta : float, default=2
        Above 1 (WGLHH).
    similar_probability : float, optional
        Share of similar pairs in the data set. By default their share in the batch.

    Notes
    -----
    With 0.1 at 64 bits the Gaussian has vanished for all but nearly equal embeddings: codes by sign
    were then no better than an untrained layer's on Corel-5k (see docs/losses.md).

    WGLHH raises similar pairs by a constant chosen for each data set and length; here the balanced
    weights of H²Q's experiments take its place. The paper's quantization term is the penalty
    ``"l2"`` of `h2q.learning.penalties`.

    References
    ----------
    R.-C. Tu, X.-L. Mao, C. Kong, Z. Shao, Z.-L. Li, W. Wei, H. Huang, "Weighted Gaussian Loss
    based Hamming Hashing", ACM Multimedia 2021.

    Examples
    --------
    >>> import torch
    >>> z = torch.tensor([[1.0, 0.0], [2.0, 0.0]])  # the same direction: p = 1
    >>> loss = WGLHHLoss(n_bits=2)
    >>> round(abs(float(loss(z, torch.ones(2, 1)))), 4), round(float(loss(z, torch.eye(2))), 4)
    (0.0, 1.8842)
    """

    def __init__(
        self,
        *,
        n_bits: int,
        alpha: float | None = None,
        theta: float = 2.0,
        similar_probability: float | None = None,
    ) -> None:
        super().__init__()
        if theta <= 1:
            raise InvalidInputError(f"theta must be above 1, not {theta}")
        self.n_bits = n_bits
        self.alpha = 0.1 * (16 / n_bits) ** 2 if alpha is None else alpha
        self.theta = theta
        self.similar_probability = similar_probability

    @full_precision
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings (n, k), multi-hot labels (n, c) -> scalar."""
        cos = unordered_pairs(cosines(embeddings, embeddings))
        s = unordered_pairs(similar(labels))
        exponent = self.alpha * (0.5 * self.n_bits * (1 - cos)).square()
        p = (-exponent).exp()
        # log p is -exponent, exactly, where p itself has vanished.
        t = self.theta
        alike = p * (math.log(t) - exponent - ((t - 1) * p).log1p()) - ((t - 1 + p) / t).log()
        unlike = p * math.log(t / (t - 1))
        attention = (0.5 * (1 + cos) - s.to(cos)).abs().exp()
        weight = balanced(s, self.similar_probability, cos.dtype) * attention
        return mean_or_zero(weight * where(s, alike, unlike))
