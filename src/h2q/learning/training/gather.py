"""Rows of all processes in one tensor, with gradients, so that pairs across processes count.

Each process computes the loss of the whole batch on the gathered rows. The backward pass sums
the gradients that all processes have for a row, which is `world` times its gradient; DDP then
averages the parameters' gradients over the processes, so what is left is the gradient of the
one-process loss of the whole batch.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import distributed


def rank_and_world() -> tuple[int, int]:
    """Position of this process and number of processes; (0, 1) outside of DDP."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """Concatenate `rows` (m, ...) of all processes, in order of rank; every m must be equal."""
    if rank_and_world()[1] == 1:
        return rows
    return cast("torch.Tensor", _GatherRows.apply(rows))


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor) -> torch.Tensor:
        rank, world = rank_and_world()
        ctx.own = slice(rank * len(rows), (rank + 1) * len(rows))
        parts = [torch.empty_like(rows) for _ in range(world)]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        gradient = gradients[0].contiguous().clone()
        distributed.all_reduce(gradient)
        return gradient[ctx.own]
