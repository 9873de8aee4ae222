"""Program of `test_resume.py`: a run with everything random in it, slow enough to be killed."""

from __future__ import annotations

import sys
from typing import Any

import typer

from h2q.datasets import load_dataset
from h2q.learning import TrainingResult, fit

#: Augmentation, order, proxies and a schedule: each would show in the weights.
OPTIONS: dict[str, Any] = {
    "backbone": "digits-cnn",
    "n_bits": 8,
    "loss": "hyp2",
    "augment": "crop-flip",
    "num_workers": 1,
    "schedule": "cosine",
    "epochs": 6,
    "batch_size": 64,
    "random_state": 5,
    "patience": 4,
    "validation_rows": 100,
    "progress": False,
    "quantizer": "itq",
    "deterministic": True,  # on a GPU, only then does a run repeat itself
}


def train(out: str) -> TrainingResult:
    return fit(load_dataset("digits"), out=out, **OPTIONS)


if __name__ == "__main__":
    if sys.argv[2:] == ["command"]:  # as `h2q train` ends
        from h2q.cli._exit import exit_codes

        try:
            with exit_codes():
                train(sys.argv[1])
        except typer.Exit as end:
            sys.exit(end.exit_code)
    else:
        train(sys.argv[1])
