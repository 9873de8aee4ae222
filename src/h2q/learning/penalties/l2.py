"""Squared distance to the nearest code: the term of DPSH and WGLHH, and H²Q's L2 baseline."""

from __future__ import annotations

from torch import Tensor, nn

from h2q.learning.penalties._batch import full_precision, mean_over_items


class L2Penalty(nn.Module):
    r"""Squared distance to the nearest code (DPSH, WGLHH, L2): mean of :math:`\|z - sgn(z)\|^2`.

    References
    ----------
    W.-J. Li, S. Wang, W.-C. Kang, "Feature Learning Based Deep Supervised Hashing with Pairwise
    Labels", IJCAI 2016, eq. 4; the L2 baseline of L. R. Schwengber et al., arXiv:2311.04207.

    Examples
    --------
    >>> import torch
    >>> L2Penalty()(torch.tensor([[0.5, -2.0]])).item()
    1.25
    """

    @full_precision
    def forward(self, embeddings: Tensor) -> Tensor:
        """Penalty of embeddings (n, k) -> scalar."""
        return mean_over_items((embeddings.abs() - 1).square())
