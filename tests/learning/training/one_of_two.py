"""Program of `test_gather.py`: one process, by number, of several that compute one loss."""

from __future__ import annotations

import sys

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from h2q.learning import losses
from h2q.learning.training.gather import gather_rows, rank_and_world
from h2q.learning.training.sampler import EpochBatches, StridedBatches


class Step(nn.Module):
    """A layer and its loss."""

    def __init__(self, name: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(12, 8)
        self.loss = losses.create(name, n_bits=8, n_classes=4)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        value: torch.Tensor = self.loss(gather_rows(self.layer(x)), gather_rows(labels))
        return value


def compute(name: str) -> dict[str, torch.Tensor]:
    """Loss and gradients of this process's share of one batch of 16."""
    torch.manual_seed(1)
    x, labels = torch.randn(50, 12), nn.functional.one_hot(torch.arange(50) % 4, 4).float()
    step = Step(name)
    model = DistributedDataParallel(step) if rank_and_world()[1] > 1 else step
    own = next(iter(EpochBatches(50, 16, seed=2))).indices
    loss = model(x[own], labels[own])
    loss.backward()
    gradients = {key: p.grad for key, p in step.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **gradients}


def main(rank: int, world: int, rendezvous: str, out: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world
    )
    results = {name: compute(name) for name in ("cel", "hyp2", "dch")}
    shares = [i for request in StridedBatches(7, 3) for i in request.indices]
    torch.save({"results": results, "rows": torch.tensor(shares)}, out)
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
