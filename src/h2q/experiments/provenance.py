"""Which source and which machine made a result."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

#: Rooms that embeddings depend on; results depend on the others too.
TRAINING = ("datasets", "learning")
ALL = (*TRAINING, "evaluation", "quantization", "experiments")


@lru_cache
def source_digest(rooms: tuple[str, ...] = ALL) -> str:
    """Start of the SHA-256 of the source of these rooms; versions alone miss local edits."""
    root = Path(__file__).parents[1]
    state = hashlib.sha256()
    for room in sorted(rooms):
        for path in sorted((root / room).rglob("*.py")):
            state.update(path.relative_to(root).as_posix().encode())
            state.update(path.read_bytes())
    return state.hexdigest()[:16]


def machine_class() -> str:
    """Say what this machine is in words that name nobody's: cores and accelerator."""
    cores = len(os.sched_getaffinity(0))
    words = f"{cores} core{'s' if cores > 1 else ''}"
    import torch

    if torch.cuda.is_available():
        words += f", {torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}"
    return words


def has_gpu() -> bool:
    """Whether torch is there and sees a GPU."""
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()
