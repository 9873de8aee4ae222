"""Images a second of training, data pipeline included, against the bare model.

    python bench/throughput.py --backbone resnet50 --batch-size 8 --steps 4 --rounds 3

Both sides take the same network, loss and optimizer on the same device, in turn, in one process.
The bare model is given one batch that lies in memory; the pipeline reads JPEG files (400 x 300
pixels, written to a temporary folder), augments, and trains through `h2q.learning`'s own loader
and Lightning module. The ratio of the medians is what counts: images a second depend on the
machine, and on what else runs on it.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import lightning
import numpy as np
import torch
from PIL import Image

from h2q.datasets import Items
from h2q.datasets.sources import ImageFiles
from h2q.learning import Hasher, TrainConfig, backbones, losses
from h2q.learning.training.data import Batch, ImageBatches, training_loader
from h2q.learning.training.module import Embedder, HashingModule


class Stopwatch(lightning.Callback):
    """Time of each step from the end of the one before; the first is left out."""

    def __init__(self) -> None:
        self.last: float | None = None
        self.seconds: list[float] = []

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: object) -> None:
        """Note the time."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self.last is not None:
            self.seconds.append(now - self.last)
        self.last = now


def photos(folder: Path, n: int) -> Items:
    """Smooth random pictures as JPEG files."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(n):
        small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        paths.append(folder / f"{i:05d}.jpg")
        small.resize((400, 300), Image.Resampling.BICUBIC).save(paths[-1], quality=90)
    return Items(labels=np.arange(n) % 10, ids=[p.name for p in paths], images=ImageFiles(paths))


def bare(module: HashingModule, batch: Batch, steps: int, device: torch.device) -> list[float]:
    """Seconds of each step on one batch in memory."""
    module.to(device).train()
    optimizer = module.configure_optimizers()
    x, labels = batch.x.to(device), batch.labels.to(device)
    seconds = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = module.loss(module.embedder(x).float(), labels)
        loss.backward()
        optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def pipeline(module: HashingModule, data: ImageBatches, steps: int, workers: int) -> list[float]:
    """Seconds of each step with reading, augmenting and Lightning."""
    config = module.config
    loader = training_loader(
        data,
        batch_size=config.batch_size,
        seed=0,
        num_workers=workers,
        pin_memory=torch.cuda.is_available(),
    )
    stopwatch = Stopwatch()
    lightning.Trainer(
        max_steps=steps + 1,
        max_epochs=-1,
        devices=1,
        callbacks=[stopwatch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    ).fit(module, loader)
    return stopwatch.seconds


def main() -> None:
    """Measure in turn, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--image-size", type=int, default=224)
    options = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    backbone = backbones.create(options.backbone, pretrained=False, image_size=options.image_size)
    hasher = Hasher(backbone, 64)
    config = TrainConfig(batch_size=options.batch_size, learning_rate=1e-4, epochs=1000)
    embedder = Embedder(hasher, on_features=False, freeze_backbone=False)
    embedder.to(memory_format=torch.channels_last)
    loss = losses.create("cel", n_bits=64, n_classes=10)
    none = np.zeros(0, dtype=np.int64)
    module = HashingModule(embedder, loss, config, none, none)
    assert backbone.preprocessing is not None
    times: dict[str, list[float]] = {"bare": [], "pipeline": []}
    with tempfile.TemporaryDirectory() as folder:
        n = options.batch_size * (options.steps + 2)
        items = photos(Path(folder), n)
        data = ImageBatches(items, items.multi_hot(10), backbone.preprocessing, "crop-flip")
        batch = next(iter(training_loader(data, batch_size=options.batch_size, seed=0)))
        for _ in range(options.rounds):
            times["bare"] += bare(module, batch, options.steps, device)
            times["pipeline"] += pipeline(module, data, options.steps, options.workers)
    medians = {side: statistics.median(values) for side, values in times.items()}
    rates = {f"{side}_images_per_s": options.batch_size / s for side, s in medians.items()}
    spread = {f"{side}_seconds": [round(s, 3) for s in v] for side, v in times.items()}
    ratio = medians["bare"] / medians["pipeline"]
    print(json.dumps({**vars(options), "device": device.type, **rates, "ratio": ratio, **spread}))


if __name__ == "__main__":
    main()
