"""What a finished run leaves: the model, its card, and plots of loss and validation mAP."""

from __future__ import annotations

import logging
from typing import Any

from torch import nn

from h2q._files import write_whole
from h2q._version import __version__
from h2q.learning.backbones import OwnBackbone
from h2q.learning.config import TrainConfig
from h2q.learning.hasher import Hasher
from h2q.learning.training.run_folder import RunFolder
from h2q.learning.training.sources import Sources

_LOG = logging.getLogger("h2q.learning")


def finish(
    hasher: Hasher,
    loss: nn.Module,
    config: TrainConfig,
    sources: Sources,
    folder: RunFolder,
    history: list[dict[str, float]],
) -> None:
    """Write plots and card, and last the model: the sign that the run is finished."""
    best = max(history, key=lambda row: row["validation_map"])
    hasher.facts.update(
        dataset=config.dataset,
        loss=config.loss,
        quantizer=config.quantizer,
        validation_map=best["validation_map"],
        best_epoch=best["epoch"],
        n_train=len(sources.train),
        random_state=config.random_state,
        h2q_version=__version__,
        history=history,
    )
    _plots(folder, history)
    write_whole(folder.card, _card(hasher, loss, config, len(sources.validation)).encode())
    hasher.save(folder.model)


def _plots(folder: RunFolder, history: list[dict[str, float]]) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        _LOG.warning("no plots in %s: pip install 'h2q[plot]' brings matplotlib", folder.path)
        return
    epochs = [row["epoch"] + 1 for row in history]
    for key, title in (("loss", "training loss"), ("validation_map", "validation mAP (cosine)")):
        figure = Figure(figsize=(5, 3), layout="constrained")
        axes = figure.subplots()
        axes.plot(epochs, [row[key] for row in history], marker=".")
        axes.set(xlabel="epoch", ylabel=title)
        axes.grid(alpha=0.3)
        figure.savefig(folder.path / f"{key}.png", dpi=120)


def _card(hasher: Hasher, loss: nn.Module, config: TrainConfig, n_validation: int) -> str:
    facts: dict[str, Any] = hasher.facts
    frozen = "frozen" if config.freeze_backbone else "trained"
    backbone = f"{config.backbone} ({hasher.backbone.spec.architecture}, {frozen})"
    rows = {
        "backbone": "none: precomputed features" if config.backbone == "features" else backbone,
        "bits": hasher.n_bits,
        "loss": f"{config.loss} ({type(loss).__name__})",
        "quantizer": config.quantizer,
        "data set": config.dataset,
        "training items": facts["n_train"],
        "epochs run, best": f"{len(facts['history'])}, {facts['best_epoch'] + 1}",
        "validation mAP": f"{facts['validation_map']:.4f}",
        "quantization error": f"{facts['quantization_error']:.4f}",
        "precision": _precision(hasher),
        "seed": config.random_state,
        "h2q": facts["h2q_version"],
    }
    own = ""
    if isinstance(hasher.backbone, OwnBackbone):
        own = f", backbone={hasher.backbone.spec.architecture.rpartition(':')[2]}"
    table = "\n".join(f"| {key} | {value} |" for key, value in rows.items())
    return f"""# Hashing model of {hasher.n_bits} bits

| | |
|---|---|
{table}

Validation mAP: {n_validation} validation items as queries against at most
{config.validation_rows} training items, ranked by the cosine of the real embeddings (the bound
for codes), all of them counted. It chose the epoch, so it is not a test result; for that, see
`h2q eval`. Quantization error: mean (|z| - 1)² of the rotated training embeddings.

Use:

```python
from h2q.learning import Hasher

hasher = Hasher.load("model.safetensors"{own})
codes = hasher.quantizer.transform(hasher.embed_images(images))  # PIL images to packed bits
```

The settings are in `config.yaml`, the epochs in `metrics.csv`, and
`tensorboard --logdir tensorboard` draws the steps. The files under `checkpoints/` are for
resuming this run: `last.ckpt` is a pickle of torch (read with `weights_only=True`); share
`model.safetensors`, which holds no code.
"""


def _precision(hasher: Hasher) -> str:
    flipped = hasher.facts.get("flipped_bits")
    if flipped is None:
        return hasher.precision
    return f"{hasher.precision}: {100 * flipped:.2f} % of the validation items' bits differ from 32"
