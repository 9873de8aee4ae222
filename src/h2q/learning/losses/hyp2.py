"""Hybrid proxy-pair loss (HyP²)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from h2q.errors import InvalidInputError
from h2q.learning.losses._batch import (
    cosines,
    full_precision,
    mean_or_zero,
    similar,
    unordered_pairs,
)
from h2q.learning.losses.code_separation import cosine_separation
from h2q.learning.losses.protocol import ParameterGroup


class HyP2Loss(nn.Module):
    r"""Hybrid proxy-pair loss (HyP²): a learnable proxy a class, and dissimilar pairs pushed apart.

    .. math::
        L = \operatorname{mean}_{y_{il} = 1} (1 - \cos(z_i, p_l))
          + \operatorname{mean}_{y_{il} = 0} \max(0, \cos(z_i, p_l) - \zeta)
          + \beta \operatorname{mean}_{i<j,\, s_{ij} = 0} \max(0, \cos(z_i, z_j) - \zeta)

    with a learnable proxy :math:`p_l \in R^k` for each label l, and the separation :math:`\zeta`
    that codes of k bits can reach (see `h2q.learning.losses.code_separation`).

    Parameters
    ----------
    n_bits : int
        Length k of the embeddings and proxies.
    n_classes : int
        Number c of labels and proxies.
    beta : float, default=1.25
        Weight of the pair part (H²Q's experiments: 1.25 on CIFAR-10, COCO and ImageNet-100,
        0.75 on NUS-WIDE).
    separation : float, optional
        :math:`\zeta`, in [-1, 1]. By default from `n_bits` and `n_classes`.
    proxy_learning_rate : float, default=0.001
        Learning rate of the proxies, whatever that of the network (HyP² and H²Q).
    random_state : int, optional
        Seed of the first proxies; by default torch's global generator draws them.

    Attributes
    ----------
    proxies : Parameter of shape (c, k)

    Notes
    -----
    HyP² takes pairs of items that have several labels each; H²Q's experiments, and this module,
    take all dissimilar pairs, so that the pair part is at work on single-label data too.

    References
    ----------
    C. Xu, Z. Chai, Z. Xu, C. Yuan, Y. Fan, J. Wang, "HyP² Loss: Beyond Hypersphere Metric Space
    for Multi-label Image Retrieval", ACM Multimedia 2022, arXiv:2208.06866.

    Examples
    --------
    >>> import torch
    >>> loss = HyP2Loss(n_bits=2, n_classes=2, separation=0.0, random_state=0)
    >>> _ = loss.proxies.data.copy_(torch.eye(2))
    >>> loss(torch.eye(2), torch.eye(2)).item()
    0.0
    """

    def __init__(
        self,
        *,
        n_bits: int,
        n_classes: int,
        beta: float = 1.25,
        separation: float | None = None,
        proxy_learning_rate: float = 1e-3,
        random_state: int | None = None,
    ) -> None:
        super().__init__()
        self.beta = beta
        self.separation = cosine_separation(n_bits, n_classes) if separation is None else separation
        self.proxy_learning_rate = proxy_learning_rate
        generator = None if random_state is None else torch.Generator().manual_seed(random_state)
        self.proxies = nn.Parameter(torch.empty(n_classes, n_bits))
        nn.init.kaiming_normal_(self.proxies, mode="fan_out", generator=generator)

    def parameter_groups(self, learning_rate: float) -> list[ParameterGroup]:
        """Optimizer groups of the loss's own parameters; `learning_rate` is the network's."""
        return [{"params": [self.proxies], "lr": self.proxy_learning_rate}]

    @full_precision
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Loss of a batch: embeddings (n, k), multi-hot labels (n, c) -> scalar."""
        n_classes, n_bits = self.proxies.shape
        if embeddings.shape[1] != n_bits or labels.shape[1] != n_classes:
            raise InvalidInputError(
                f"HyP² was made for {n_bits} bits and {n_classes} classes, but got embeddings of "
                f"{embeddings.shape[1]} and labels of {labels.shape[1]} columns"
            )
        to_proxy = cosines(embeddings, self.proxies.to(embeddings))
        proxy_part = mean_or_zero(1 - to_proxy, labels) + mean_or_zero(
            (to_proxy - self.separation).clamp_min(0), 1 - labels
        )
        to_other = unordered_pairs(cosines(embeddings, embeddings))
        unlike = ~unordered_pairs(similar(labels))
        pair_part = mean_or_zero((to_other - self.separation).clamp_min(0), unlike.to(to_other))
        return proxy_part + self.beta * pair_part
