"""Program of `test_gather.py`: the same run on any number of processes."""

from __future__ import annotations

import sys

from h2q.datasets import load_dataset
from h2q.learning import TrainingResult, fit


def train(out: str, devices: int) -> TrainingResult:
    return fit(
        load_dataset("digits"),
        out=out,
        backbone="digits-cnn",
        n_bits=8,
        loss="hyp2",
        epochs=3,
        batch_size=64,
        devices=devices,
        accelerator="cpu",
        num_workers=0,
        quantizer="itq",
        progress=False,
    )


if __name__ == "__main__":
    train(sys.argv[1], devices=2)
