"""Stage 2 at the end of training: the rotation, without labels, on the training embeddings."""

from __future__ import annotations

from typing import Any

from h2q import quantization
from h2q.learning.config import TrainConfig
from h2q.learning.hasher import Hasher
from h2q.learning.training.sources import Sources


def make_quantizer(name: str, random_state: int) -> Any:
    """Unfitted quantizer for a name of `TrainConfig.quantizer`."""
    if name == "h2q":
        return quantization.HouseholderQuantizer(random_state=random_state)
    if name == "itq":
        return quantization.ITQQuantizer(random_state=random_state)
    if name == "random":
        return quantization.RandomRotationQuantizer(random_state=random_state)
    return quantization.SignQuantizer()


def add_rotation(hasher: Hasher, sources: Sources, config: TrainConfig, progress: bool) -> None:
    """Fit the quantizer and put its rotation into the model."""
    embeddings = sources.train_embeddings(hasher, progress)
    quantizer = make_quantizer(config.quantizer, config.random_state)
    hasher.set_quantizer(quantizer.fit(embeddings))
    hasher.facts["quantization_error"] = float(quantizer.quantization_error(embeddings))
