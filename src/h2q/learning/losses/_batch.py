"""What every loss needs of a batch: full precision, checked shapes, pairs, their similarity."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from h2q.errors import InvalidInputError

# Added to squared norms before the root. An embedding of zeros then has cosine 0 with everything
# and a gradient no larger than 1e4, which still fits in float16.
_SQUARED_EPS = 1e-8

_Forward = TypeVar("_Forward", bound=Callable[..., Tensor])


def full_precision(forward: _Forward) -> _Forward:
    """Run `forward(self, embeddings, labels, ...)` in float32 or better, on checked input.

    Autocast is switched off inside, because it would run the matrix of inner products in half
    precision, where the distance of two close embeddings is mostly rounding.
    """

    @wraps(forward)
    def wrapped(
        self: nn.Module, embeddings: Tensor, labels: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        check_batch(embeddings, labels)
        with torch.autocast(device_type=embeddings.device.type, enabled=False):
            z = at_least_float32(embeddings)
            y = labels.to(device=z.device, dtype=z.dtype)
            return forward(self, z, y, *args, **kwargs)

    return cast(_Forward, wrapped)  # the same signature, which `wraps` keeps for readers


def at_least_float32(values: Tensor) -> Tensor:
    """Half precision becomes float32; float32 and float64 stay what they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def check_batch(embeddings: Tensor, labels: Tensor) -> None:
    """Raise InvalidInputError unless embeddings are (n, k) real and labels multi-hot (n, c)."""
    if embeddings.ndim != 2 or not embeddings.is_floating_point():
        raise InvalidInputError(
            f"embeddings must be a floating-point tensor (n, k), not {tuple(embeddings.shape)} "
            f"of {embeddings.dtype}"
        )
    if labels.ndim != 2:
        raise InvalidInputError(
            f"labels must be multi-hot (n, n_classes), not {tuple(labels.shape)}; turn classes "
            "into rows with torch.nn.functional.one_hot"
        )
    if len(labels) != len(embeddings):
        raise InvalidInputError(f"{len(embeddings)} embeddings but {len(labels)} rows of labels")


def similar(labels: Tensor, others: Tensor | None = None) -> Tensor:
    """Which items share a label.

    Parameters
    ----------
    labels : Tensor of shape (n, c)
        Multi-hot.
    others : Tensor of shape (m, c), optional
        Multi-hot; `labels` by default.

    Returns
    -------
    Tensor of bool and shape (n, m)
    """
    return labels @ (labels if others is None else others).T > 0


def unordered_pairs(matrix: Tensor) -> Tensor:
    """Entries i < j of a symmetric (n, n) matrix, as a vector of length n(n-1)/2."""
    rows, columns = torch.triu_indices(len(matrix), len(matrix), offset=1, device=matrix.device)
    return matrix[rows, columns]


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of each row of `a` (n, k) with each row of `b` (m, k); 0 for a row of zeros."""
    return unit_rows(a) @ unit_rows(b).T


def unit_rows(z: Tensor) -> Tensor:
    """Rows scaled to norm 1; a row of zeros stays zero and has a finite gradient."""
    return z * torch.rsqrt(z.square().sum(dim=1, keepdim=True) + _SQUARED_EPS)


def balanced(s: Tensor, similar_probability: float | None, dtype: torch.dtype) -> Tensor:
    """Weights that give similar and dissimilar pairs the same total.

    Parameters
    ----------
    s : Tensor of bool and shape (p,)
        Which pairs are similar.
    similar_probability : float or None
        Share of similar pairs in the data set; None takes their share of these pairs.
    dtype : torch.dtype
        Of the weights.

    Returns
    -------
    Tensor of shape (p,)
        |S| / |S1| for a similar pair and |S| / |S0| for a dissimilar one (HashNet, eq. 2). Where
        all pairs are of one kind their weight is 1.
    """
    if similar_probability is None:
        share = s.to(dtype).sum() / max(s.numel(), 1)
    else:
        share = torch.tensor(similar_probability, dtype=dtype, device=s.device)
    return 1 / torch.where(s, _or_one(share), _or_one(1 - share))


def _or_one(share: Tensor) -> Tensor:
    return torch.where(share > 0, share, torch.ones_like(share))


def mean_or_zero(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean, or sum(weights * values) / sum(weights); 0, still differentiable, of nothing."""
    if weights is None:
        return values.sum() / max(values.numel(), 1)
    total = weights.sum()
    return (weights * values).sum() / _or_one(total)
