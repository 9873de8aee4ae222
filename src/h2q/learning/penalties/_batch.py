"""What every penalty needs of a batch: full precision and a checked shape."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor

from h2q.errors import InvalidInputError
from h2q.learning.losses._batch import at_least_float32

_Self = TypeVar("_Self")


def full_precision(forward: Callable[[_Self, Tensor], Tensor]) -> Callable[[_Self, Tensor], Tensor]:
    """Run `forward(self, embeddings)` in float32 or better, on embeddings (n, k)."""

    @wraps(forward)
    def wrapped(self: _Self, embeddings: Tensor) -> Tensor:
        if embeddings.ndim != 2 or not embeddings.is_floating_point():
            raise InvalidInputError(
                "embeddings must be a floating-point tensor (n, k), not "
                f"{tuple(embeddings.shape)} of {embeddings.dtype}"
            )
        with torch.autocast(device_type=embeddings.device.type, enabled=False):
            return forward(self, at_least_float32(embeddings))

    return wrapped


def mean_over_items(values: Tensor) -> Tensor:
    """Sum over the columns, mean over the rows; 0 for no rows."""
    return values.sum() / max(values.shape[0], 1)
