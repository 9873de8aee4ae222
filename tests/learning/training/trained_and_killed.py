"""Program of `test_resume.py`: a run with everything random in it, slow enough to be killed."""

from __future__ import annotations

import sys
from typing import Any

from h2q.datasets import load_dataset
from h2q.learning import TrainingResult, fit

#: Augmentation, order, proxies and a schedule: each would show in the weights.
OPTIONS: dict[str, Any] = {
    "backbone": "digits-cnn",
    "n_bits": 8,
    "loss": "hyp2",
    "augment": "crop-flip",
    "schedule": "cosine",
    "epochs": 6,
    "batch_size": 64,
    "random_state": 5,
    "patience": 4,
    "validation_rows": 100,
    "progress": False,
    "quantizer": "itq",
}


def train(out: str) -> TrainingResult:
    return fit(load_dataset("digits"), out=out, **OPTIONS)


if __name__ == "__main__":
    train(sys.argv[1])
